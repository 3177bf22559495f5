package redis_test

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley/store/redis"
)

// silent listens and says nothing.
func silent(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// full listens and takes no connection any more, as a host does that is not
// there: Linux leaves unanswered what its queue has no room for.
func full(t *testing.T) *net.TCPListener {
	t.Helper()
	l := silent(t)
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			return l
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue of a listener that has room for none took ten connections")
	return nil
}

// TestServerThatIsNotReached has it known by the error that it is worth another
// try, although the time to connect was exceeded.
func TestServerThatIsNotReached(t *testing.T) {
	for name, l := range map[string]*net.TCPListener{"silent": silent(t), "full": full(t)} {
		for _, url := range []string{"redis://ADDRESS", "redis+cluster://ADDRESS", "redis+sentinel://ADDRESS/mymaster"} {
			t.Run(name+" "+url, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				_, err := redis.Open(t.Context(), redis.Config{URL: strings.Replace(url, "ADDRESS", l.Addr().String(), 1)})
				wantUnavailable(t, "Open", err)
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("Open said so after %v; want it within a few seconds", took)
				}
			})
		}
	}
}

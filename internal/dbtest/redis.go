package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A RedisServer is a Redis, or a Sentinel.
type RedisServer struct {
	*Server
	Addr string // host:port
}

// Redis starts a Redis that ends with the test. It keeps nothing on disk, unless
// further arguments, as on its command line, say so: "--appendonly", "yes".
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	port := freePort(t)
	args = append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"}, args...)
	return startRedis(t, port, t.TempDir(), args)
}

// RedisCluster starts three primaries that make a cluster.
func RedisCluster(t testing.TB) []*RedisServer {
	t.Helper()
	var nodes []*RedisServer
	for i, slots := range [][2]string{{"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}} {
		bus := strconv.Itoa(freePort(t))
		s := Redis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000")
		nodes = append(nodes, s)
		host, port, _ := net.SplitHostPort(s.Addr)
		for _, command := range [][]string{
			{"cluster", "set-config-epoch", strconv.Itoa(i + 1)},
			{"cluster", "addslotsrange", slots[0], slots[1]},
		} {
			s.Await(t, "OK", command...)
		}
		if i > 0 {
			nodes[0].Await(t, "OK", "cluster", "meet", host, port, bus)
		}
	}
	for _, s := range nodes {
		s.Await(t, "cluster_state:ok", "cluster", "info")
	}
	return nodes
}

// RedisSentinel starts a Sentinel that watches a primary under a name, and lets
// a replica take over a second after the primary is lost.
func RedisSentinel(t testing.TB, name string, primary *RedisServer) *RedisServer {
	t.Helper()
	port, dir := freePort(t), t.TempDir()
	_, primaryPort, _ := net.SplitHostPort(primary.Addr)
	config := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor %[2]s 127.0.0.1 %[3]s 1\n"+
		"sentinel down-after-milliseconds %[2]s 1000\nsentinel failover-timeout %[2]s 3000\n", port, name, primaryPort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startRedis(t, port, dir, []string{config, "--sentinel"})
}

var prefixes atomic.Int64 // each a place of its own on a server

func startRedis(t testing.TB, port int, dir string, args []string) *RedisServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		need(t, "redis-server")
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s := &RedisServer{Addr: addr, Server: &Server{
		name:    "Redis",
		dir:     dir,
		command: func() *exec.Cmd { return exec.Command(path, args...) },
		ready:   func(ctx context.Context) error { return pingRedis(ctx, addr) },
		url: func(testing.TB) string {
			return fmt.Sprintf("redis://%s/0?prefix=test%d", addr, prefixes.Add(1))
		},
		stop:   func(p *os.Process) error { return p.Signal(syscall.SIGTERM) },
		fatalf: t.Fatalf,
	}}
	t.Cleanup(s.remove)
	s.Start()
	return s
}

// pingRedis returns nil once a server has loaded its data. One that wants a
// password has.
func pingRedis(ctx context.Context, addr string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	if text := string(answer[:n]); strings.HasPrefix(text, "+PONG") || strings.HasPrefix(text, "-NOAUTH") {
		return nil
	}
	return errors.Join(err, fmt.Errorf("it answers %q", answer[:n]))
}

// CLI runs redis-cli against the server and returns what it prints.
func (s *RedisServer) CLI(command ...string) string {
	host, port, _ := net.SplitHostPort(s.Addr)
	out, _ := exec.Command("redis-cli", append([]string{"-h", host, "-p", port}, command...)...).CombinedOutput()
	return string(out)
}

// Await waits until what a command prints has a text in it.
func (s *RedisServer) Await(t testing.TB, text string, command ...string) {
	t.Helper()
	out := ""
	for began := time.Now(); time.Since(began) < startTimeout; <-time.After(20 * time.Millisecond) {
		if out = s.CLI(command...); strings.Contains(out, text) {
			return
		}
	}
	t.Fatalf("%q prints\n%s\nwant %s", command, out, text)
}

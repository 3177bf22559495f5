package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/parleytest"
	"github.com/parley-chat/parley/store/redis"
)

// TestCluster runs all suites on a cluster: no script may leave its slot.
func TestCluster(t *testing.T) {
	nodes := dbtest.RedisCluster(t)
	places := 0
	place := func(t *testing.T) func() parley.Store {
		places++
		url := fmt.Sprintf("redis+cluster://%s,%s?prefix=test%d", nodes[0].Addr, nodes[1].Addr, places)
		return func() parley.Store { return open(t, redis.Config{URL: url}) }
	}
	if !testing.Short() {
		t.Run("store", func(t *testing.T) { parleytest.DurableStore(t, place) })
	}
	t.Run("shared", func(t *testing.T) { parleytest.Shared(t, place) })
	t.Run("archive", func(t *testing.T) { parleytest.Archive(t, place) })

	t.Run("taken for one server", func(t *testing.T) {
		_, err := redis.Open(t.Context(), redis.Config{URL: nodes[0].URL(t)})
		wantPlain(t, "a node of a cluster", err, "redis+cluster://")
	})

	t.Run("one node is away", func(t *testing.T) {
		store := place(t)().(*redis.Store)
		defer store.Close()
		if len(store.Warnings()) != 3 {
			t.Errorf("there are the warnings %q; want one of each node", store.Warnings())
		}
		nodes[2].Kill()
		unavailable := 0
		for n := range 30 {
			if err := answer(t.Context(), store, fmt.Sprint("session ", n), "Hello"); err != nil {
				unavailable++
				wantUnavailable(t, "a turn while a node is away", err)
			}
		}
		if unavailable == 0 {
			t.Error("all turns were answered while a node was away; want some in its slots")
		}
		nodes[2].Start()
		nodes[2].Await(t, "cluster_state:ok", "cluster", "info")
		for n := range 30 {
			for began := time.Now(); ; {
				err := answer(t.Context(), store, fmt.Sprint("session ", n), "Hello again")
				if err == nil {
					break
				}
				if time.Since(began) > 5*time.Second {
					t.Fatalf("5 s after the node is back: %v", err)
				}
			}
		}
	})
}

// A replica takes over, and the store goes on with it.
func TestSentinel(t *testing.T) {
	primary := dbtest.Redis(t, "--repl-diskless-sync-delay", "0")
	_, port, _ := net.SplitHostPort(primary.Addr)
	replica := dbtest.Redis(t, "--replicaof", "127.0.0.1 "+port)
	replica.Await(t, "master_link_status:up", "info", "replication")
	sentinel := dbtest.RedisSentinel(t, "chat", primary)
	sentinel.Await(t, "slaves=1", "info", "sentinel")

	_, err := redis.Open(t.Context(), redis.Config{URL: "redis+sentinel://" + sentinel.Addr + "/another"})
	wantPlain(t, "a name that the Sentinel does not know", err, "sentinel monitor")
	store := open(t, redis.Config{URL: "redis+sentinel://" + sentinel.Addr + "/chat/0"})
	defer store.Close()
	if warnings := strings.Join(store.Warnings(), "\n"); !strings.Contains(warnings, "replicas") {
		t.Errorf("there are the warnings %s; want one of replicas", warnings)
	}
	heard := make(chan string, 1000)
	defer store.Listen("topic", func(note []byte) { heard <- string(note) })()
	if err := answer(t.Context(), store, "s", "before"); err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(primary.CLI("keys", "*:t:s"))
	replica.Await(t, "1", "hexists", key, "e1") // its end is there, too
	primary.Kill()
	wantUnavailable(t, "a turn without a primary", answer(t.Context(), store, "s", "between"))
	replica.Await(t, "role:master", "info", "replication")
	awaitHealed(t, store)
	if !finished(t, store, "s")["before"] {
		t.Error("the replica that took over lacks a turn that was there long before")
	}
	for began := time.Now(); len(heard) == 0; {
		store.Notify(t.Context(), "topic", []byte("back"))
		if time.Since(began) > 5*time.Second {
			t.Fatal("5 s after the replica took over no note is heard")
		}
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	roots := certificate(t, dir)
	server := dbtest.Redis(t, "--tls-cert-file", dir+"/cert", "--tls-key-file", dir+"/key", "--tls-auth-clients", "no")
	host, port, _ := net.SplitHostPort(server.Addr)
	if out := server.CLI("config", "set", "port", "0", "tls-port", port); !strings.Contains(out, "OK") {
		t.Fatalf("the server takes no TLS on its port: %s", out)
	}
	cfg := redis.Config{URL: "rediss://" + net.JoinHostPort(host, port), TLS: &tls.Config{RootCAs: roots}}
	store := open(t, cfg)
	defer store.Close()
	if err := answer(t.Context(), store, "s", "Hello"); err != nil {
		t.Error(err)
	}
	cfg.TLS = nil
	_, err := redis.Open(t.Context(), cfg)
	wantPlain(t, "a certificate that nobody vouches for", err, "certificate")
}

// certificate makes a certificate for 127.0.0.1 and returns who vouches for it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

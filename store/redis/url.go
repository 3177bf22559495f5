package redis

import (
	"crypto/tls"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/parley-chat/parley"
)

// An address is what a URL says.
type address struct {
	scheme           string // without what stands for TLS
	secure           bool
	hosts            []string
	user, password   string
	master           string // of a Sentinel
	database         int
	prefix           string
	sentinelPassword string
}

// The schemes, by what is behind the address.
const (
	single   = "redis"
	cluster  = "redis+cluster"
	sentinel = "redis+sentinel"
)

// parseURL reads a URL, or says all that is wrong with it, without repeating
// what may be a password.
func parseURL(raw string) (address, error) {
	a := address{prefix: "parley"}
	var ps parley.Problems
	scheme, rest, found := strings.Cut(raw, "://")
	a.secure = strings.HasPrefix(scheme, "rediss")
	a.scheme = strings.Replace(scheme, "rediss", "redis", 1)
	if !found || a.scheme != single && a.scheme != cluster && a.scheme != sentinel {
		ps.Add("URL", "must begin with redis://, redis+cluster:// or redis+sentinel://, or with rediss for TLS, such as redis://localhost:6379/0")
		return a, ps.Err()
	}

	// Package net/url takes one host only.
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	hosts := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		hosts = authority[i+1:]
		var err error
		user, password, _ := strings.Cut(authority[:i], ":")
		a.user, err = url.PathUnescape(user)
		if err == nil {
			a.password, err = url.PathUnescape(password)
		}
		if err != nil {
			ps.Add("URL", "has a user or password that is not percent-encoded: write %%25 for a percent sign")
		}
	}
	a.hosts = a.parseHosts(hosts, &ps)
	u, err := url.Parse(path)
	if err != nil {
		ps.Add("URL", "cannot be read behind the host; in a user or password write %%2F for a slash, %%3F for a question mark and %%23 for a number sign")
		return a, ps.Err()
	}
	a.parsePath(strings.Trim(u.Path, "/"), &ps)
	a.parseQuery(u, &ps)
	return a, ps.Err()
}

func (a *address) parseHosts(list string, ps *parley.Problems) (hosts []string) {
	port := "6379"
	if a.scheme == sentinel {
		port = "26379"
	}
	for _, h := range strings.Split(list, ",") {
		host, p, err := net.SplitHostPort(h)
		if err != nil { // no port
			host, p = strings.Trim(h, "[]"), port
		}
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " @/\\") {
			ps.Add("URL", "has a host or port that is none; write host:%s, and several with a comma between them. In a user or password, / ? # and @ are written %%2F %%3F %%23 and %%40", port)
			return nil
		}
		hosts = append(hosts, net.JoinHostPort(host, p))
	}
	if a.scheme == single && len(hosts) > 1 {
		ps.Add("URL", "has several hosts; write redis+cluster:// for a cluster, or redis+sentinel:// for Sentinels")
	}
	return hosts
}

// parsePath reads what is behind the hosts: the master's name, and the database.
func (a *address) parsePath(path string, ps *parley.Problems) {
	if a.scheme == sentinel {
		a.master, path, _ = strings.Cut(path, "/")
		if a.master == "" {
			ps.Add("URL", "needs the master's name behind the Sentinels, such as redis+sentinel://host:26379/mymaster")
		}
	}
	if path == "" {
		return
	}
	var err error
	a.database, err = strconv.Atoi(path)
	switch {
	case a.scheme == cluster:
		ps.Add("URL", "has a database; a cluster has only one, so leave out what is behind the hosts")
	case err != nil || a.database < 0:
		ps.Add("URL", "has a database that is no number; write /0")
	}
}

func (a *address) parseQuery(u *url.URL, ps *parley.Problems) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" {
		ps.Add("URL", "cannot be read behind the question mark; in a user or password write %%3F for a question mark and %%23 for a number sign")
		return
	}
	for name := range values {
		switch {
		case name == "prefix":
			a.prefix = values.Get(name)
		case name == "sentinel_password" && a.scheme == sentinel:
			a.sentinelPassword = values.Get(name)
		default: // the name is not repeated: it may be the end of a password
			ps.Add("URL", "has an unknown setting behind the question mark; there are prefix and, for Sentinels, sentinel_password")
		}
	}
	invalid := func(r rune) bool { return r < '!' || r > '~' || strings.ContainsRune("{}*?[]\\", r) }
	if a.prefix == "" || len(a.prefix) > 100 || strings.IndexFunc(a.prefix, invalid) >= 0 {
		ps.Add("URL", "has a prefix that is none; use 1 to 100 visible characters of ASCII but {}*?[]\\")
	}
}

// where names the address without its secrets.
func (a *address) where() string {
	where := strings.Join(a.hosts, ",")
	if a.master != "" {
		where += "/" + a.master
	}
	return where
}

// How long Redis may take. An answer comes within milliseconds where all is
// well; a call that is tried again must still end before the engine gives up.
const (
	dialTimeout = 2 * time.Second
	callTimeout = 2 * time.Second
	retries     = 1
	connections = 64 // at once, to each server
)

// client returns a client, which is not connected yet. It tries again what
// failed on the way: everything here may happen twice, but for notes.
func (a *address) client(secure *tls.Config) redis.UniversalClient {
	if !a.secure {
		secure = nil
	} else if secure == nil {
		secure = &tls.Config{}
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // of one vendor's servers
	switch a.scheme {
	case cluster:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: a.hosts, Username: a.user, Password: a.password, TLSConfig: secure,
			MaxRedirects: 1 + retries, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: callTimeout, WriteTimeout: callTimeout,
			PoolSize: connections, DisableIdentity: true, MaintNotificationsConfig: quiet,
		})
	case sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: a.master, SentinelAddrs: a.hosts, SentinelPassword: a.sentinelPassword,
			Username: a.user, Password: a.password, DB: a.database, TLSConfig: secure,
			MaxRetries: retries, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: callTimeout, WriteTimeout: callTimeout,
			PoolSize: connections, DisableIdentity: true,
		})
	}
	return redis.NewClient(&redis.Options{
		Addr: a.hosts[0], Username: a.user, Password: a.password, DB: a.database, TLSConfig: secure,
		MaxRetries: retries, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: callTimeout, WriteTimeout: callTimeout,
		PoolSize: connections, DisableIdentity: true, MaintNotificationsConfig: quiet,
	})
}

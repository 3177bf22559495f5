package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout = 2 * time.Second
	pingTimeout    = 2 * time.Second
)

const urlForm = "it must look like postgres://user:password@host:5432/database"

// parseURL says how to connect. What parses the rest of the URL never sees the
// password, so that no message can have it.
func parseURL(raw string) (*pgxpool.Config, error) {
	bare, password, err := cutPassword(raw)
	if err != nil {
		return nil, err
	}
	_, query, _ := strings.Cut(bare, "?")
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("what is behind the question mark cannot be read: %w", err)
	}
	for _, name := range []string{"password", "sslpassword"} {
		if parameters.Has(name) {
			return nil, fmt.Errorf("the parameter %s does not belong into the URL; write the password before the @, and that of a key into the environment, as PGSSLPASSWORD", name)
		}
	}
	cfg, err := pgxpool.ParseConfig(bare)
	if err != nil {
		return nil, err
	}
	if password != "" {
		cfg.ConnConfig.Password = password
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = pingTimeout
	}
	if !parameters.Has("pool_max_conns") {
		cfg.MaxConns = int32(max(8, 4*runtime.GOMAXPROCS(0)))
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "parley"
	}
	return cfg, nil
}

// cutPassword takes the password out of a URL. Its errors quote nothing: where a
// URL is malformed, anything in it may be the password.
func cutPassword(raw string) (bare, password string, err error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme != "postgres" && scheme != "postgresql" {
		return "", "", errors.New("the URL has not the scheme postgres; " + urlForm)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndex(rest[:end], "@")
	path, _, _ := strings.Cut(rest[end:], "?")
	switch {
	case strings.Contains(rest, "#"), strings.Contains(path, "@"), at < 0 && strings.Contains(rest, "@"):
		return "", "", errors.New("the URL has an @ or a # where none can be; " + urlForm + ", where those in the password are written as %40 and %23, and / : ? as %2F %3A %3F")
	case at < 0:
		return raw, "", nil
	}
	user, encoded, _ := strings.Cut(rest[:at], ":")
	password, err = url.PathUnescape(encoded)
	if err != nil {
		return "", "", errors.New("the password in the URL has a % that begins no escape; write % itself as %25")
	}
	return scheme + "://" + user + rest[at:], password, nil
}

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A process is a server under measurement.
type process struct {
	name  string
	addr  string
	cmd   *exec.Cmd
	start time.Duration // from the start of the process to its first 200
}

// startParley starts the real server, as it is shipped: the whole chain of
// middleware and the access log, which goes to a file. Only the rate limit is
// off, or there would be nothing to measure.
func (b bench) startParley(name, databaseURL string, settings ...string) (*process, error) {
	cmd := exec.Command(b.binary())
	cmd.Env = []string{"NODE_ENV=production", "HOST=127.0.0.1", "RATE_LIMIT=0", "DATABASE_URL=" + databaseURL, "MAX_TURNS=100000"}
	cmd.Env = append(cmd.Env, settings...)
	return b.startProcess(name, cmd)
}

func (b bench) startBare(name string, settings ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-bare", name)
	cmd.Env = append(settings, "BENCH_DIR="+b.dir)
	return b.startProcess("bare "+name, cmd)
}

func (b bench) startProcess(name string, cmd *exec.Cmd) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	logs, err := os.Create(filepath.Join(b.dir, strings.ReplaceAll(name, " ", "-")+".log"))
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	cmd.Dir = b.dir
	cmd.Stdout, cmd.Stderr = logs, logs
	cmd.Env = append(cmd.Env, fmt.Sprintf("GOMAXPROCS=%d", b.cores), "PORT="+port)
	p := &process{name: name, addr: "127.0.0.1:" + port, cmd: cmd}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 20*time.Second {
		answer, err := http.Get("http://" + p.addr + "/ready")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				p.start = time.Since(began)
				return p, nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	p.stop()
	text, _ := os.ReadFile(logs.Name())
	return nil, fmt.Errorf("%s is not ready after 20 s:\n%s", name, text)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// cpu returns the processor time that the process has used so far: utime and
// stime of proc_pid_stat(5), in ticks of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the processor time, which works on Linux only: %w", err)
	}
	_, after, ok := strings.Cut(string(data), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 13 {
		return 0, errors.New("read the processor time: unknown format")
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// memory returns the resident set in bytes: VmRSS of proc_pid_status(5).
func (p *process) memory() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(string(data), "VmRSS:")
	fields := strings.Fields(after)
	if !ok || len(fields) == 0 {
		return 0, errors.New("read the memory: unknown format")
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return n * 1024, err
}

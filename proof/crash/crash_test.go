// Package crash proves that a SIGKILL at any moment takes nothing that was
// acknowledged, doubles nothing and reorders nothing.
package crash_test

import (
	"testing"
	"time"

	"github.com/parley-chat/parley/proof/server"
	"github.com/parley-chat/parley/proof/trial"
)

// perDatabase is after how many kills a trial goes on with a new database.
const perDatabase = 20

func TestKill(t *testing.T) {
	for _, test := range []struct {
		name, folder string
		edits        []server.Edit
		kills        int
	}{
		{"witness", "../witness", nil, 100},
		{"witness that checkpoints often", "../witness", []server.Edit{trial.CheckpointOften}, 100},
		{"parley", "../../cmd/parley", nil, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			kills := test.kills
			if testing.Short() {
				kills = perDatabase
			}
			program := server.Build(t, test.folder, test.edits...)
			var total trial.Report
			for total.Crashes < kills {
				report, err := trial.Run(trial.NewKilled(t, program), perDatabase)
				total = total.Plus(report)
				if err != nil {
					t.Fatalf("after %d kills: %v", total.Crashes, err)
				}
			}
			t.Log(total)
			// One in a hundred may be the fault of a machine that is busy otherwise.
			if ready := total.ReadyWithin(0.99); ready > time.Second {
				t.Errorf("the server was ready %v after its start; want a second at most", ready)
			}
		})
	}
}

// TestKillFindsFlaws is the control: stores with a known flaw must not pass.
func TestKillFindsFlaws(t *testing.T) {
	program := server.Build(t, "../witness")
	for _, test := range []struct{ name, flaw string }{
		{"acknowledges before it is durable", "early"},
		{"does not know what is sent again", "forgetful"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := trial.Run(trial.NewKilled(t, program, "-flaw="+test.flaw), perDatabase)
			if err == nil {
				t.Fatalf("nothing was found wrong: %v", report)
			}
			t.Logf("found after %d kills: %v", report.Crashes, report.Verdict)
		})
	}
}

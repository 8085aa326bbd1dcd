package bridge

import (
	"context"
	"errors"
	"net"
	"time"
)

// rotation walks through the addresses of an upstream. It belongs to the
// goroutine of Bridge.Run.
type rotation struct {
	n       int
	primary bool // begin with the first after every loss, and go back to it
	at      int
	tried   int // failures since the last connection
}

// connected notes that the present address works.
func (r *rotation) connected() { r.tried = 0 }

// standby reports that a better address should be watched for.
func (r *rotation) standby() bool { return r.primary && r.at != 0 }

// failed moves on: after a lost connection to the first (primary) or the same
// address (sticky), after a failed attempt to the next. again says that some
// address has not been tried in this round.
func (r *rotation) failed(online bool) (again bool) {
	if online {
		if r.primary {
			r.at = 0
		}
		return true
	}
	r.tried++
	r.at = (r.at + 1) % r.n
	if r.tried < r.n {
		return true
	}
	r.tried = 0
	return false
}

// primaryCheck is how often a bridge on a stand-by looks for its first address.
const primaryCheck = time.Minute

var errPrimaryBack = errors.New("the first address is reachable again")

// watchPrimary ends the connection to a stand-by when the first address
// accepts connections again.
func (b *Bridge) watchPrimary(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(b.primaryCheck):
		}
		d := net.Dialer{Timeout: b.s.timeout}
		conn, err := d.DialContext(ctx, "tcp", b.s.urls[0].Host)
		if err != nil {
			continue
		}
		conn.Close()
		cancel(errPrimaryBack)
		return
	}
}

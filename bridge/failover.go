package bridge

import (
	"context"
	"errors"
	"net/url"
	"time"

	"fieldgate/mqtt/client"
)

// rotation walks through the addresses of an upstream. It belongs to the
// goroutine of Bridge.Run.
type rotation struct {
	n        int
	primary  bool // begin with the first after every loss, and go back to it
	at       int
	tried    int      // failures since the last connection
	referred *url.URL // where the upstream pointed to, for one attempt and its connection

	returning bool          // the attempt of now is a return to the first address
	check     time.Duration // how long to stay on a stand-by before the first address is looked for
}

// address is the one to try now.
func (r *rotation) address(urls []*url.URL) *url.URL {
	if r.referred != nil {
		return r.referred
	}
	return urls[r.at]
}

// connected notes that the present address works.
func (r *rotation) connected() {
	r.tried = 0
	if r.at == 0 && r.referred == nil {
		r.check, r.returning = 0, false
	}
}

// standby reports that a better address should be watched for.
func (r *rotation) standby() bool { return r.primary && r.at != 0 && r.referred == nil }

// patience is how long to stay on a stand-by: least at first, twice as long
// after each return to a first address that then did not let us in.
func (r *rotation) patience(least time.Duration) time.Duration {
	r.check = max(r.check, least)
	return r.check
}

// goBack notes that the first address seems to work again.
func (r *rotation) goBack() { r.at, r.returning = 0, true }

// refer sends the next attempt elsewhere. An address that was itself referred
// to does not refer on: two servers that point at each other are a failure.
func (r *rotation) refer(to *url.URL) bool {
	if to == nil || r.referred != nil {
		return false
	}
	r.referred = to
	return true
}

// failed moves on: after a lost connection to the first (primary) or the same
// address (sticky), after a failed attempt to the next. again says that some
// address has not been tried in this round.
func (r *rotation) failed(online bool) (again bool) {
	if r.referred != nil { // the configured addresses again
		r.referred = nil
		return online
	}
	if r.returning && !online {
		r.check = min(2*r.check, primaryCheckMost)
	}
	r.returning = false
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

// How often a bridge on a stand-by looks for its first address: each minute,
// more rarely when that took us no further.
const (
	primaryCheck     = time.Minute
	primaryCheckMost = 32 * time.Minute
)

var errPrimaryBack = errors.New("the first address is reachable again")

// watchPrimary ends the connection to a stand-by when the first address
// accepts connections again.
func (b *Bridge) watchPrimary(ctx context.Context, cancel context.CancelCauseFunc, every time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		if b.reachable(ctx, b.s.urls[0]) {
			cancel(errPrimaryBack)
			return
		}
	}
}

// reachable reports that something listens at an address, seen by the way that
// the bridge would go.
func (b *Bridge) reachable(ctx context.Context, u *url.URL) bool {
	ctx, cancel := context.WithTimeout(ctx, b.s.timeout)
	defer cancel()
	conn, err := client.Reach(ctx, client.Config{URL: u.String(), Proxy: b.cfg.Proxy, Interface: b.cfg.Connect.Interface, Dialer: b.dialer})
	if err == nil {
		conn.Close()
	}
	return err == nil
}

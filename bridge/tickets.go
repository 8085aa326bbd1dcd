package bridge

import (
	"crypto/sha256"
	"crypto/tls"
	"sync"
)

// ticketMisses is how often in a row an upstream may refuse to resume before
// it is no longer asked: one that was restarted has new keys, one of several
// behind one address has others than its neighbours.
const ticketMisses = 3

// signatures is about what a full handshake carries beside certificates: a
// signature of each side, and the request for the client's certificate.
const signatures = 300

// tickets keeps the TLS session of an upstream behind a metered link, where
// resuming it costs less than a full handshake. A ticket goes up with the next
// handshake and a new one comes down, in place of the certificates and
// signatures of both sides. OpenSSL's servers send two after a full handshake
// whether they are asked to or not, so resuming saves those as well; others,
// like Go's, send one to those who ask, with all certificates of the client in
// it: it may cost more than it saves.
//
// It is a tls.ClientSessionCache of one session, for one set of settings: a
// session says nothing about certificates or authorities that have changed.
type tickets struct {
	mu      sync.Mutex
	about   [sha256.Size]byte // the settings
	session *tls.ClientSessionState
	offered bool // the present handshake offers the session
	misses  int
	off     bool // it does not pay

	certs int // of the last full handshake: bytes of certificates
	came  int // tickets that followed it
	size  int // bytes of the last ticket
}

// use makes a handshake with these settings offer and keep sessions.
func (t *tickets) use(cfg *tls.Config, about [sha256.Size]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.about != about {
		t.about, t.session, t.misses, t.off = about, nil, 0, false
	}
	t.offered = false
	if t.session != nil && t.came == 1 && 2*t.size >= t.certs+signatures {
		t.off, t.session = true, nil
	}
	if t.off {
		return
	}
	own := 0
	for _, c := range cfg.Certificates {
		for _, der := range c.Certificate {
			own += len(der)
		}
	}
	cfg.ClientSessionCache = t
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		t.agreed(s, own)
		return nil
	}
}

// agreed looks at a handshake that the upstream's certificate was good for.
func (t *tickets) agreed(s tls.ConnectionState, own int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case s.DidResume:
		t.misses = 0
		return
	case t.offered:
		t.missedLocked()
	}
	t.certs, t.came = own, 0
	for _, c := range s.PeerCertificates {
		t.certs += len(c.Raw)
	}
}

// failed notes that the handshake failed: what was offered is not offered again.
func (t *tickets) failed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.offered {
		t.session = nil
		t.missedLocked()
	}
}

func (t *tickets) missedLocked() {
	t.offered = false
	if t.misses++; t.misses >= ticketMisses {
		t.off, t.session = true, nil
	}
}

// Get implements tls.ClientSessionCache.
func (t *tickets) Get(string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offered = t.session != nil
	return t.session, t.offered
}

// Put implements tls.ClientSessionCache.
func (t *tickets) Put(_ string, s *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.session = s
	if s == nil {
		return
	}
	ticket, _, err := s.ResumptionState()
	if err != nil {
		t.session = nil
		return
	}
	t.size = len(ticket)
	t.came++
}

package broker

import (
	"bufio"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds on the work that one line of a password file can ask for.
const (
	maxPBKDF2Iterations = 1_000_000
	maxArgonMemory      = 64 << 10 // KiB; mosquitto 2.1 writes 46 MiB
	maxArgonTime        = 16
	maxArgonThreads     = 4
	maxBcryptCost       = 14
	maxUsers            = 10_000
	maxProofs           = 256 // remembered good passwords
)

// users is a password file in memory. Checking a password costs a lot of CPU
// and memory on purpose, so checks take turns, and a password that was right
// once is remembered by its keyed digest: a reconnect storm costs nothing.
type users struct {
	hashes map[string]string
	turn   chan struct{} // one slot: checks in progress

	mu     sync.Mutex
	key    [32]byte
	proofs map[[32]byte]bool
}

// readUsers reads a file of "name:hash" lines as mosquitto_passwd writes it.
// Empty lines and those that begin with # are skipped.
func readUsers(path string) (*users, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s may be read or written by everybody; run chmod 0640 %[1]s", path)
	}
	u, err := parseUsers(f)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return u, nil
}

func parseUsers(r io.Reader) (*users, error) {
	u := &users{hashes: map[string]string{}, turn: make(chan struct{}, 1), proofs: map[[32]byte]bool{}}
	if _, err := rand.Read(u.key[:]); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r\n \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		hash, _, _ = strings.Cut(hash, ":") // fieldgate passwd keeps roles behind a second colon
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("%d: no name and hash; write it with: fieldgate passwd add NAME", n)
		case u.hashes[name] != "":
			return nil, fmt.Errorf("%d: user %q is there twice", n, name)
		case len(u.hashes) == maxUsers:
			return nil, fmt.Errorf("%d: more than %d users", n, maxUsers)
		}
		if err := checkHash(hash); err != nil {
			return nil, fmt.Errorf("%d: user %q: %w", n, name, err)
		}
		u.hashes[name] = hash
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("0: %w", err)
	}
	return u, nil
}

// has reports whether a name stands in the file.
func (u *users) has(name string) bool { return u != nil && u.hashes[name] != "" }

// check reports whether the password is right. It waits for its turn, at most
// as long as done stays open.
func (u *users) check(done <-chan struct{}, name string, password []byte) bool {
	if u == nil {
		return false
	}
	hash, ok := u.hashes[name]
	mac := hmac.New(sha256.New, u.key[:])
	fmt.Fprintf(mac, "%d:%s:%s:", len(name), name, hash)
	mac.Write(password)
	proof := [32]byte(mac.Sum(nil))
	u.mu.Lock()
	known := u.proofs[proof]
	u.mu.Unlock()
	if known {
		return ok
	}
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-done:
		return false
	}
	if !ok {
		// Same work as for a known name, so that time does not tell names apart.
		for _, hash = range u.hashes {
			break
		}
	}
	good, err := verify(hash, password)
	if !ok || err != nil || !good {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.proofs) >= maxProofs {
		clear(u.proofs)
	}
	u.proofs[proof] = true
	return true
}

var errHash = errors.New(`password hash is none of $6$, $7$, $argon2id$, $2b$; set it anew with: fieldgate passwd set NAME`)

// hashParts is a parsed hash: which function, with which numbers.
type hashParts struct {
	kind       byte // '6', '7', 'a', 'b'
	salt, sum  []byte
	iterations int
	memory     uint32
	threads    uint8
}

func checkHash(hash string) error {
	_, err := parseHash(hash)
	return err
}

func parseHash(hash string) (hashParts, error) {
	f := strings.Split(hash, "$")
	switch {
	case len(f) == 4 && f[1] == "6":
		return saltAndSum(hashParts{kind: '6'}, f[2], f[3], sha512.Size)
	case len(f) == 5 && f[1] == "7":
		n, err := strconv.Atoi(f[2])
		if err != nil || n < 1 || n > maxPBKDF2Iterations {
			return hashParts{}, fmt.Errorf("$7$ wants 1 to %d iterations, not %q", maxPBKDF2Iterations, f[2])
		}
		return saltAndSum(hashParts{kind: '7', iterations: n}, f[3], f[4], sha512.Size)
	case len(f) == 6 && f[1] == "argon2id":
		return parseArgon(f)
	case len(f) == 4 && (f[1] == "2a" || f[1] == "2b" || f[1] == "2y"):
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || cost > maxBcryptCost {
			return hashParts{}, fmt.Errorf("bcrypt wants a cost of at most %d and 60 characters", maxBcryptCost)
		}
		return hashParts{kind: 'b'}, nil
	}
	return hashParts{}, errHash
}

func parseArgon(f []string) (hashParts, error) {
	p := hashParts{kind: 'a'}
	var m, t, th uint64
	if f[2] != "v=19" {
		return p, fmt.Errorf("argon2id version %q; 19 is known", f[2])
	}
	for part := range strings.SplitSeq(f[3], ",") {
		name, text, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return p, errHash
		}
		switch name {
		case "m":
			m = n
		case "t":
			t = n
		case "p":
			th = n
		}
	}
	if m < 8 || m > maxArgonMemory || t < 1 || t > maxArgonTime || th < 1 || th > maxArgonThreads {
		return p, fmt.Errorf("argon2id m=%d,t=%d,p=%d is out of bounds (m 8..%d, t 1..%d, p 1..%d)", m, t, th, maxArgonMemory, maxArgonTime, maxArgonThreads)
	}
	p.memory, p.iterations, p.threads = uint32(m), int(t), uint8(th)
	return saltAndSum(p, f[4], f[5], 0)
}

// saltAndSum decodes both; want is the length of the sum, 0: any from 16 to 64.
func saltAndSum(p hashParts, salt, sum string, want int) (hashParts, error) {
	var err1, err2 error
	p.salt, err1 = decode64(salt)
	p.sum, err2 = decode64(sum)
	if err1 != nil || err2 != nil || len(p.salt) == 0 || len(p.salt) > 64 {
		return p, errHash
	}
	if want != 0 && len(p.sum) != want || want == 0 && (len(p.sum) < 16 || len(p.sum) > 64) {
		return p, fmt.Errorf("password hash has %d bytes", len(p.sum))
	}
	return p, nil
}

func decode64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// verify reports whether the password belongs to the hash.
func verify(hash string, password []byte) (bool, error) {
	p, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	var sum []byte
	switch p.kind {
	case '6': // mosquitto: one round of SHA-512 over password and salt
		h := sha512.New()
		h.Write(password)
		h.Write(p.salt)
		sum = h.Sum(nil)
	case '7':
		sum, err = pbkdf2.Key(sha512.New, string(password), p.salt, p.iterations, len(p.sum))
		if err != nil {
			return false, err
		}
	case 'a':
		sum = argon2.IDKey(password, p.salt, uint32(p.iterations), p.memory, p.threads, uint32(len(p.sum)))
	case 'b':
		return bcrypt.CompareHashAndPassword([]byte(hash), password) == nil, nil
	}
	return subtle.ConstantTimeCompare(sum, p.sum) == 1, nil
}

// HashPassword is the hash that new passwords get: argon2id with the numbers
// that OWASP names as the least (19 MiB, 2 rounds, 1 thread).
func HashPassword(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	const memory, rounds, threads = 19 << 10, 2, 1
	sum := argon2.IDKey([]byte(password), salt, rounds, memory, threads, 32)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", memory, rounds, threads, b64(salt), b64(sum)), nil
}

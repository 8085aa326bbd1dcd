package conf

import "log/slog"

// Secret is a password or key. It prints as "***" through fmt, slog, JSON and
// TOML alike; only Reveal gives the text. The file may hold the secret itself,
// "credential:NAME" (systemd $CREDENTIALS_DIRECTORY) or "${NAME}" (environment);
// the loader puts the resolved text in with NewSecret.
//
// Secrets are compared with Equal or reflect.DeepEqual, not with ==.
type Secret struct {
	// A pointer, because fmt prints the unexported fields of a struct without
	// asking their methods: this way it prints an address.
	text *string
}

// NewSecret wraps a secret text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the secret text, for the one call that needs it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports an unset secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports the same secret text.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String hides the secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

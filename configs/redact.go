package configs

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"fieldgate/configs/conf"
	"fieldgate/configs/tree"
)

const hidden = "***"

// Lines are shown in errors, so whatever on them may be a secret is hidden:
// the values of secret keys, which the loader knows exactly, and by their
// looks those that it could not read: keys with such names, and the password
// inside a URL.
var (
	secretKey   = regexp.MustCompile(`(?i)\b[\w-]*(?:passw|passphrase|secret|token|credential|psk|pwd|private|\bpass\b|\bpw\b)[\w-]*["']?\s*=\s*`)
	secretValue = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}\]#]+)`)
	urlPassword = regexp.MustCompile(`://[^/\s"'@:]*:([^/\s"']+)@`)
)

// redact returns a line of a file with its secrets hidden, and where a culprit
// at column (from 1, in characters) stands now.
func redact(file *source, line tree.Span, column, length int) (text string, newColumn, newLength int) {
	raw := file.text[line.Start:line.End]
	var cuts []tree.Span
	for _, s := range file.secrets {
		if s.Start < line.End && s.End > line.Start {
			cuts = append(cuts, tree.Span{Start: max(s.Start-line.Start, 0), End: min(s.End, line.End) - line.Start})
		}
	}
	cuts = append(cuts, looksSecret(raw)...)
	slices.SortFunc(cuts, func(a, b tree.Span) int { return a.Start - b.Start })

	start := byteOffset(raw, column-1)
	end := byteOffset(raw, column-1+length)
	var b strings.Builder
	pos, written := 0, 0 // bytes of raw that are done, characters of the result
	newStart, newEnd := -1, -1
	copyTo := func(to int) {
		if newStart < 0 && start <= to {
			newStart = written + utf8.RuneCountInString(raw[pos:max(pos, start)])
		}
		if newEnd < 0 && end <= to {
			newEnd = written + utf8.RuneCountInString(raw[pos:max(pos, end)])
		}
		b.WriteString(raw[pos:to])
		written += utf8.RuneCountInString(raw[pos:to])
		pos = to
	}
	for _, c := range cuts {
		c.Start = max(c.Start, pos) // one secret may be found twice
		if c.End <= c.Start {
			continue
		}
		copyTo(c.Start)
		b.WriteString(hidden)
		if newStart < 0 && start < c.End { // a culprit inside a secret is all of it
			newStart = written
		}
		written += len(hidden)
		if newEnd < 0 && end <= c.End {
			newEnd = written
		}
		pos = c.End
	}
	copyTo(len(raw))
	return b.String(), newStart + 1, max(1, newEnd-newStart)
}

// looksSecret finds what may be a secret on a line by its looks. References
// are no secrets.
func looksSecret(raw string) []tree.Span {
	var cuts []tree.Span
	for _, m := range secretKey.FindAllStringIndex(raw, -1) {
		v := secretValue.FindString(raw[m[1]:])
		name := strings.TrimRight(raw[m[0]:m[1]], "\"' =\t")
		body := strings.Trim(v, `"'`)
		if v == "" || strings.HasSuffix(name, "_file") || isReference(body) ||
			strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
			continue
		}
		s := tree.Span{Start: m[1], End: m[1] + len(v)}
		if v[0] == '"' || v[0] == '\'' {
			s.Start++
			if len(v) > 1 && v[len(v)-1] == v[0] {
				s.End--
			}
		}
		cuts = append(cuts, s)
	}
	for _, m := range urlPassword.FindAllStringSubmatchIndex(raw, -1) {
		cuts = append(cuts, tree.Span{Start: m[2], End: m[3]})
	}
	return cuts
}

// looksLikeSecret reports a name that is, or nearly is, that of a secret.
func looksLikeSecret(name string) bool {
	return secretKey.MatchString(name+"=") || conf.Nearest(name, []string{"password", "passphrase", "secret", "token"}) != ""
}

// hideURL takes the password out of every URL in a text.
func hideURL(text string) string {
	for _, m := range slices.Backward(urlPassword.FindAllStringSubmatchIndex(text, -1)) {
		text = text[:m[2]] + hidden + text[m[3]:]
	}
	return text
}

func byteOffset(s string, runes int) int {
	for i := range s {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(s)
}

// hide remembers a secret, so that no text of a problem can show it.
func (l *loader) hide(secret string) {
	const tooShort = 4 // would hide half of every sentence
	if len(secret) >= tooShort {
		l.secrets = append(l.secrets, secret)
	}
}

// scrub takes known secrets and passwords in URLs out of a text.
func (l *loader) scrub(text string) string {
	for _, s := range l.secrets {
		text = strings.ReplaceAll(text, s, hidden)
	}
	return hideURL(text)
}

// safe is what a proposal may repeat of a value: nothing of a secret.
func (l *loader) safe(path, raw string) string {
	if secretKey.MatchString(lastName(path) + "=") {
		return hidden
	}
	return raw
}

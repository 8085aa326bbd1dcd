package serial

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// parseBytes reads a marker or a request: text with the escapes \r \n \t \0 \\
// and \xNN (a TOML literal string keeps its backslashes, a basic string has
// none left), or hex digits with spaces. The prefixes "hex:" and "text:"
// overrule byDefault.
func parseBytes(text string, hexByDefault bool) ([]byte, error) {
	if rest, ok := strings.CutPrefix(text, "hex:"); ok {
		return parseHex(rest)
	}
	if rest, ok := strings.CutPrefix(text, "text:"); ok {
		return unescape(rest)
	}
	if hexByDefault {
		return parseHex(text)
	}
	return unescape(text)
}

func parseHex(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf(`%q is not a row of hex bytes such as "AA C0"`, text)
	}
	return b, nil
}

func unescape(text string) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		if i == len(text) {
			return nil, fmt.Errorf(`%q ends in a lone backslash; write \\ for the character itself`, text)
		}
		switch text[i] {
		case 'r':
			out = append(out, '\r')
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case '0':
			out = append(out, 0)
		case '\\':
			out = append(out, '\\')
		case 'x':
			if i+2 >= len(text) {
				return nil, fmt.Errorf(`%q: \x needs two hex digits`, text)
			}
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return nil, fmt.Errorf(`%q: \x needs two hex digits`, text)
			}
			out = append(out, byte(n))
			i += 2
		default:
			return nil, fmt.Errorf(`%q: unknown escape \%c; known are \r \n \t \0 \\ \xNN`, text, text[i])
		}
	}
	return out, nil
}

package configs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/configs/tree"
)

// maxSecret bounds what is read from a credential or a *_file key.
const maxSecret = 64 << 10

// variable is "${NAME}", alone in a string.
var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// bindSecret reads a secret: "credential:NAME", "${NAME}" or the text itself.
func (l *loader) bindSecret(v *value, into reflect.Value, path string) {
	text, ok := v.data.(string)
	if !ok || v.kind != tree.Scalar {
		v.file.secrets = append(v.file.secrets, v.node.Value)
		l.wrongType(v, into.Type(), path)
		return
	}
	secret, ok := l.resolve(v, text, path)
	if ok {
		into.Set(reflect.ValueOf(conf.NewSecret(secret)))
		l.hide(secret)
	}
}

func (l *loader) resolve(v *value, text, path string) (secret string, ok bool) {
	if l.opts.SkipFiles && isReference(text) {
		return hidden, true
	}
	if name, isCred := strings.CutPrefix(text, "credential:"); isCred {
		return l.credential(v, name, path)
	}
	if m := variable.FindStringSubmatch(text); m != nil {
		secret, ok = l.opts.lookup(m[1])
		if !ok || secret == "" {
			l.add(Problem{Code: "E0109", Key: path, Text: fmt.Sprintf("environment variable %s is not set", m[1]),
				Help: "set it for the service (Environment= or EnvironmentFile=), or use credential: or a *_file key"}, v.file, inside(v))
			return "", false
		}
		return secret, true
	}
	if strings.Contains(text, "${") {
		l.add(Problem{Code: "W0111", Key: path, Text: lastName(path) + " holds ${ but is not a reference",
			Help: `only "${NAME}" alone is read from the environment; here the text itself is the secret`}, v.file, v.node.Key)
	}
	v.file.secrets = append(v.file.secrets, inside(v))
	if text != "" {
		l.add(Problem{Code: "W0110", Key: path, Text: lastName(path) + " stands in the file in clear text",
			Help: insteadOfLiteral(path)}, v.file, v.node.Key)
	}
	return text, true
}

// isReference reports a text that names a secret and is none itself.
func isReference(text string) bool {
	return strings.HasPrefix(text, "credential:") || variable.MatchString(text)
}

// insteadOfLiteral proposes what the section really has: not every secret has
// a *_file key.
func insteadOfLiteral(path string) string {
	name := lastName(path)
	for _, k := range Keys() {
		if k.Path == bare(path)+"_file" {
			return fmt.Sprintf(`use %s_file, "credential:NAME" or "${NAME}"`, name)
		}
	}
	return `use "credential:NAME" or "${NAME}"`
}

// credential reads a file that systemd has put into $CREDENTIALS_DIRECTORY.
func (l *loader) credential(v *value, name, path string) (string, bool) {
	p := Problem{Code: "E0109", Key: path}
	dir, ok := l.opts.lookup("CREDENTIALS_DIRECTORY")
	switch {
	case name == "" || name != filepath.Base(name) || name == "..":
		p.Text, p.Help = fmt.Sprintf("%q is not the name of a credential", name), `write "credential:NAME" with the name from LoadCredential=`
	case !ok || dir == "": // a check from a shell: only the service has them
		p.Code, p.Text = "W0109", fmt.Sprintf("credential %s cannot be looked up: CREDENTIALS_DIRECTORY is not set", name)
		p.Help = "systemd sets it for the service, where the unit needs LoadCredential=" + name + ":/etc/fieldgate/secrets/" + name
	default:
		text, err := readSecret(filepath.Join(dir, name))
		if err == nil && text != "" {
			return text, true
		}
		p.Text = fmt.Sprintf("credential %s: %s", name, reason(err))
		p.Help = "add LoadCredential=" + name + ":/etc/fieldgate/secrets/" + name + " to the unit"
	}
	l.add(p, v.file, inside(v))
	return "", false
}

// checkSecretFiles looks at every file a *_file key of the secret kind names:
// it must be there, be a plain file, and others must not be able to read it.
func (l *loader) checkSecretFiles(v *value, path string) {
	for _, name := range v.names {
		sub, key := v.table[name], joinPath(path, name)
		text, isText := sub.data.(string)
		if sub.kind != tree.Scalar {
			l.checkSecretFiles(sub, key)
		} else if isText && text != "" && isSecretFile(name) {
			l.checkSecretFile(sub, text, key)
		}
	}
	for _, e := range v.elems {
		l.checkSecretFiles(e, path)
	}
}

// isSecretFile reports keys that name a file with a secret in it.
func isSecretFile(name string) bool {
	return name == "password_file" || name == "key_file" || name == "users_file" || name == "secret_file" || name == "token_file"
}

func (l *loader) checkSecretFile(v *value, name, path string) {
	if l.opts.SkipFiles || l.reported(path) {
		return
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		l.add(Problem{Code: "E0109", Key: path, Text: fmt.Sprintf("%s: %s", name, reason(err)),
			Help: "create it, readable for the user of the service only"}, v.file, inside(v))
	case !info.Mode().IsRegular():
		l.add(Problem{Code: "E0109", Key: path, Text: name + " is not a plain file"}, v.file, inside(v))
	case info.Mode().Perm()&0o007 != 0 && strings.HasSuffix(path, ".users_file"): // hashes
		l.add(Problem{Code: "W0113", Key: path, Text: fmt.Sprintf("%s is open to every user (mode %04o)", name, info.Mode().Perm()),
			Help: "chmod 0640 " + name}, v.file, inside(v))
	case info.Mode().Perm()&0o007 != 0:
		l.add(Problem{Code: "E0112", Key: path, Text: fmt.Sprintf("%s is open to every user (mode %04o)", name, info.Mode().Perm()),
			Help: "chmod 0640 " + name}, v.file, inside(v))
	}
}

// readSecret reads a secret from a file, without the line end that editors add.
func readSecret(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return "", fmt.Errorf("not a plain file of at most 64 KiB")
	}
	text, err := os.ReadFile(name)
	return strings.TrimRight(string(text), "\r\n"), err
}

// reason is the plain words of a file error, without its path.
func reason(err error) string {
	switch {
	case err == nil:
		return "the file is empty"
	case os.IsNotExist(err):
		return "no such file"
	case os.IsPermission(err):
		return "this user may not read it"
	}
	if p, ok := err.(*fs.PathError); ok {
		return p.Err.Error()
	}
	return err.Error()
}

package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/configs/tree"
)

// What a configuration may be at most; beyond it, something else was meant.
const (
	maxFileSize = 4 << 20
	maxFiles    = 500
)

// Options of a load; the zero value reads the process environment and looks at
// the files that keys name.
type Options struct {
	// Env looks a variable up, credentials' directory included; nil means the
	// process environment.
	Env func(name string) (string, bool)
	// SkipFiles leaves out what depends on this machine: files that keys name,
	// variables, credentials and serial ports. For a check away from the gateway.
	SkipFiles bool

	root string // of the file system, for what is asked about the board; tests set it
}

func (o Options) lookup(name string) (string, bool) {
	if o.Env == nil {
		return os.LookupEnv(name)
	}
	return o.Env(name)
}

// loader is one run: what was read, and what was found.
type loader struct {
	opts    Options
	file    *File
	report  *Report
	root    *value
	order   map[*source]int
	places  []place
	secrets []string
	settled map[string]bool // keys whose value was refused already: that they are missing then is no news
	wrong   map[string]bool // keys of a wrong type: nothing below them is news
	broken  bool            // a file could not be read or parsed: what is missing may be in it
}

// Load reads a configuration with everything it includes and checks it. Both
// results are never nil; the File may be used if the Report is OK.
func Load(path string, o Options) (*File, *Report) {
	l := newLoader(o)
	if text, ok := l.read(path); ok {
		l.main(path, text)
	}
	l.conclude()
	return l.file, l.report
}

// LoadText is Load of a text, as from a page or a pipe. Its includes are
// relative to the directory of name.
func LoadText(name, text string, o Options) (*File, *Report) {
	l := newLoader(o)
	if len(text) > maxFileSize {
		l.tooLarge(name)
	} else {
		l.main(name, text)
	}
	l.conclude()
	return l.file, l.report
}

func newLoader(o Options) *loader {
	return &loader{
		opts:   o,
		file:   Default(),
		report: &Report{Files: []string{}, Problems: []Problem{}},
		root:   &value{kind: tree.Table, table: map[string]*value{}, node: &tree.Node{Kind: tree.Table}},
		order:  map[*source]int{},

		settled: map[string]bool{},
		wrong:   map[string]bool{},
	}
}

// main takes the main file in, then what it includes.
func (l *loader) main(path, text string) {
	v := l.parse(path, text)
	if v == nil {
		return
	}
	l.merge(l.root, v, "")
	l.root.file = v.file
	for _, name := range l.included(v, filepath.Dir(path)) {
		text, ok := l.read(name)
		if !ok {
			continue
		}
		more := l.parse(name, text)
		if more == nil {
			continue
		}
		if inc := more.table["include"]; inc != nil {
			l.add(Problem{Code: "E0114", Key: "include", Text: "an included file may not include others",
				Help: "name the file in the include of " + path}, more.file, inc.node.Key)
			delete(more.table, "include")
			more.names = slices.DeleteFunc(more.names, func(n string) bool { return n == "include" })
		}
		l.merge(l.root, more, "")
	}
}

// included lists the files that the patterns of include name, in the order of
// the patterns and of the names. A pattern without a match is no error; a plain
// name without a file is.
func (l *loader) included(main *value, dir string) []string {
	list := main.table["include"]
	if list == nil {
		return nil
	}
	var files []string
	for _, e := range list.elems {
		pattern, ok := e.data.(string)
		if !ok {
			continue // bind reports the type
		}
		full := pattern
		if !filepath.IsAbs(full) {
			full = filepath.Join(dir, pattern)
		}
		names, err := filepath.Glob(full)
		switch {
		case err != nil:
			l.add(Problem{Code: "E0114", Key: "include", Text: fmt.Sprintf("%q is not a pattern", pattern),
				Help: `write for example "conf.d/*.toml"`}, e.file, inside(e))
		case len(names) == 0 && !hasMeta(pattern):
			l.broken = true
			l.add(Problem{Code: "E0114", Key: "include", Text: full + ": no such file",
				Help: "create it or take it out of include"}, e.file, inside(e))
		}
		slices.Sort(names)
		for _, n := range names {
			if !slices.Contains(files, n) && !passedOver(n, pattern, main.file.name) {
				files = append(files, n)
			}
		}
	}
	if len(files) > maxFiles {
		l.add(Problem{Code: "E0114", Key: "include", Text: fmt.Sprintf("include names %d files; at most %d are read", len(files), maxFiles)},
			list.file, list.node.Key)
		files = files[:maxFiles]
	}
	return files
}

// passedOver reports what a pattern did not mean: the main file itself, and
// hidden files, which editors leave about.
func passedOver(name, pattern, main string) bool {
	if strings.HasPrefix(filepath.Base(name), ".") && !strings.HasPrefix(filepath.Base(pattern), ".") {
		return true
	}
	a, errA := os.Stat(name)
	b, errB := os.Stat(main)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func hasMeta(pattern string) bool {
	for _, c := range pattern {
		if c == '*' || c == '?' || c == '[' {
			return true
		}
	}
	return false
}

// read reads a file. What is no plain file, or too large, is refused before it
// is read.
func (l *loader) read(path string) (string, bool) {
	text, err := readPlain(path)
	if err != nil {
		l.broken = true
		help := ""
		switch {
		case os.IsNotExist(err):
			help = "fieldgate init writes a first one"
		case os.IsPermission(err):
			help = "use sudo, or let this user's group read it: chgrp GROUP FILE; chmod 0640 FILE"
		default:
			help = "name the configuration itself, as /etc/fieldgate/fieldgate.toml"
		}
		l.add(Problem{Code: "E0101", File: path, Text: "the configuration cannot be read: " + reason(err), Help: help}, nil, tree.Span{})
		return "", false
	}
	if len(text) > maxFileSize {
		l.tooLarge(path)
		return "", false
	}
	return string(text), true
}

// readPlain reads a file, one byte more than is allowed at most. Only plain
// files are opened: a pipe would keep us waiting.
func readPlain(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a plain file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

func (l *loader) tooLarge(path string) {
	l.broken = true
	l.add(Problem{Code: "E0115", File: path, Text: "the file is larger than " + conf.Size(maxFileSize).String(),
		Help: "is it a configuration? Several smaller files may be included"}, nil, tree.Span{})
}

// conclude fills the File from the merged tree, checks it and finishes the
// report.
func (l *loader) conclude() {
	l.bind(l.root, reflect.ValueOf(l.file).Elem(), "")
	for _, p := range l.report.Problems {
		if !p.Warning() {
			l.settled[p.Key] = true
		}
		if p.Code == "E0104" {
			l.wrong[p.Key] = true
			l.broken = l.broken || !strings.Contains(p.Key, ".") // a whole section was not read
		}
	}
	if l.file.Gateway.ID == "" {
		l.file.Gateway.ID = hostname()
	}
	l.file.root = l.root
	l.check()
	l.finish()
}

package port

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// Open takes the line for this process alone and sets it up. The error is an
// *OpenError that names path, holder and remedy.
func Open(cfg Config) (*Port, error) { return open(cfg, host{"/sys", ioctl}) }

// host is the machine that a port belongs to. Tests put one in its place whose
// drivers do what those of pseudo-terminals do not.
type host struct {
	sys   string // where sysfs is
	ioctl func(f *os.File, request uint, arg unsafe.Pointer) error
}

func open(cfg Config, on host) (*Port, error) {
	resolved, err := filepath.EvalSymlinks(cfg.Path)
	if err != nil {
		return nil, openError(cfg.Path, cfg.Path, err)
	}
	f, err := os.OpenFile(resolved, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(cfg.Path, resolved, err)
	}
	p := &Port{cfg: cfg, host: on, node: resolved, file: f}
	if err := p.setUp(); err != nil {
		f.Close()
		return nil, openError(cfg.Path, resolved, err)
	}
	return p, nil
}

// setUp owns the line first and changes it second.
func (p *Port) setUp() error {
	if err := isTTY(p.file); err != nil {
		return err
	}
	if err := lock(p.file); err != nil {
		return err
	}
	if p.cfg.RS485 != nil {
		if err := p.setRS485(*p.cfg.RS485); err != nil {
			return err
		}
	}
	lib, err := serial.Open(p.node, p.cfg.Mode.library(p.cfg.baud()))
	if err != nil {
		return libraryError(err)
	}
	p.lib = lib
	p.modemLines()
	if p.cfg.LowLatency {
		p.lowLatency()
	}
	return nil
}

func libraryError(err error) error {
	var pe *serial.PortError
	if errors.As(err, &pe) && pe.Code() == serial.PortBusy {
		return ErrBusy
	}
	return fmt.Errorf("set speed and format: %w", err)
}

// modemLines sets DTR and RTS where asked. Ptys and some adapters have none.
func (p *Port) modemLines() {
	set := func(name string, to *bool, do func(bool) error) {
		if to == nil {
			return
		}
		if err := do(*to); err != nil {
			p.note("%s cannot be set: %v", name, err)
		}
	}
	set("DTR", p.cfg.DTR, p.lib.SetDTR)
	set("RTS", p.cfg.RTS, p.lib.SetRTS)
}

// lowLatency notes what Close has to put back.
func (p *Port) lowLatency() {
	restore, err := p.setLowLatency()
	if err != nil && !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL) {
		p.note("the low-latency flag may not be set: %v", err)
	}
	p.restore = append(p.restore, restore)
	restore, note := lowerLatency(latencyFile(p.host.sys, filepath.Base(p.node)))
	p.restore = append(p.restore, restore)
	if note != "" {
		p.note("%s", note)
	}
}

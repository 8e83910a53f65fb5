package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret is the length in octets that a secret file may have: an RSA key of
// 16384 bits takes 13000 in PEM.
const maxSecret = 16384

// maxPassword is the length in octets of a TCP MD5 key on Linux
// (TCP_MD5SIG_MAXKEYLEN; RFC 2385 section 4.5 asks for 80 as well).
const maxPassword = 80

// secret returns the content of a secret file whose name stands at path; ""
// if there is none, or a fault.
func (c *checker) secret(path, name string) string {
	text, mode := c.file(path, name, maxSecret, "write the secret into that file, with mode 0600")
	if mode&0o027 != 0 {
		name = c.beside(name)
		c.warn(path, "%s can be read by everybody or written by its group (mode %04o)", name, mode).suggest("chmod 600 %s", name)
	}
	return text
}

// beside returns where a file is that the configuration names.
func (c *checker) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

// file returns the content, of at most so many octets, and the permissions of
// a file whose name stands at path; "" if there is none, or a fault. The hint
// is for a file that does not exist.
func (c *checker) file(path, name string, most int, missing string) (text string, mode fs.FileMode) {
	if !c.sound(path) {
		return "", 0
	}
	if name == "" {
		c.fault(path, "the name of the file is empty")
		return "", 0
	}
	name = c.beside(name)
	text, mode, err := readFile(name, most)
	if err != nil {
		c.fault(path, "%s: %v", name, err).suggest("%s", fileHint(err, missing))
	}
	return text, mode
}

// readFile returns the content and permissions of a file.
func readFile(name string, most int) (text string, mode fs.FileMode, err error) {
	info, err := os.Stat(name) // first, since opening a pipe would wait
	if err != nil {
		return "", 0, cause(err)
	}
	if !info.Mode().IsRegular() {
		return "", 0, errors.New("not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", 0, cause(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return "", 0, cause(err)
	case len(data) > most:
		return "", 0, fmt.Errorf("longer than %d octets", most)
	case strings.TrimSpace(string(data)) == "":
		return "", 0, errors.New("empty")
	}
	return string(data), info.Mode().Perm(), nil
}

// cause returns why a file operation went wrong, without repeating the file.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// fileHint is the hint for a file that cannot be read.
func fileHint(err error, missing string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case errors.Is(err, fs.ErrPermission):
		return "let the user that runs anycastd own it"
	}
	return ""
}

// password returns a neighbor's TCP MD5 password: the file's one line.
func (c *checker) password(path, name string) string {
	text := strings.TrimRight(c.secret(path, name), "\r\n")
	switch {
	case strings.ContainsAny(text, "\r\n\x00"):
		c.fault(path, "a password is one line of text")
	case len(text) > maxPassword:
		c.fault(path, "the password is %d octets long, more than %d", len(text), maxPassword)
	}
	return text
}

package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret is the length in octets that a secret file may have.
const maxSecret = 4096

// maxPassword is the length in octets of a TCP MD5 key on Linux
// (TCP_MD5SIG_MAXKEYLEN; RFC 2385 section 4.5 asks for 80 as well).
const maxPassword = 80

// secret returns the content of a secret file whose name stands at path; ""
// if there is none, or a fault.
func (c *checker) secret(path, name string) string {
	if !c.sound(path) {
		return ""
	}
	if name == "" {
		c.fault(path, "the name of the file is empty")
		return ""
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.dir, name)
	}
	text, mode, err := readSecret(name)
	if err != nil {
		c.fault(path, "%s: %v", name, err).suggest("%s", secretHint(err))
		return ""
	}
	if mode&0o027 != 0 {
		c.warn(path, "%s can be read by everybody or written by its group (mode %04o)", name, mode).suggest("chmod 600 %s", name)
	}
	return text
}

// readSecret returns the content and permissions of a secret file.
func readSecret(name string) (text string, mode fs.FileMode, err error) {
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
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", 0, cause(err)
	case len(data) > maxSecret:
		return "", 0, errors.New("too long for a secret")
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

// secretHint is the hint for a secret file that cannot be read.
func secretHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "write the secret into that file, with mode 0600"
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

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/term"
)

// A key outside of the keyring is a file of the age format (age-encryption.org)
// with a passphrase, armored: `age -d FILE` opens it too, and gives the words.

// maxSealed bounds what is read of such a file.
const maxSealed = 64 << 10

// maxScrypt bounds what opening one costs: 2^20 KiB, 1 GiB, of memory. Ours
// have 18.
const maxScrypt = 20

// seal encrypts text with a passphrase.
func seal(text, pass string) ([]byte, error) {
	to, err := age.NewScryptRecipient(pass)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	lines := armor.NewWriter(&b)
	w, err := age.Encrypt(lines, to)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), lines.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// looksSealed reports whether b begins as age files do, armored or not.
func looksSealed(b []byte) bool {
	return bytes.HasPrefix(b, []byte(armor.Header)) || bytes.HasPrefix(b, []byte("age-encryption.org/"))
}

// unseal decrypts what seal made, or age itself.
func unseal(b []byte, pass string) (string, error) {
	id, err := age.NewScryptIdentity(pass)
	if err != nil {
		return "", err
	}
	id.SetMaxWorkFactor(maxScrypt)
	var r io.Reader = bytes.NewReader(b)
	if bytes.HasPrefix(b, []byte(armor.Header)) {
		r = armor.NewReader(r)
	}
	text, err := age.Decrypt(r, id)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return "", errors.New("the passphrase is not this file's")
	}
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(io.LimitReader(text, maxSealed))
	return string(out), err
}

// passphrase is $COMNTR_PASSPHRASE, or what is typed at the terminal without
// echo, twice if it is a new one. It is never a flag: others see those.
func passphrase(e *env, prompt string, isNew bool) (string, error) {
	if p := os.Getenv("COMNTR_PASSPHRASE"); p != "" {
		return p, nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errors.New("there is no terminal to ask for the passphrase at: set COMNTR_PASSPHRASE")
	}
	defer tty.Close()
	p, err := typed(e, tty, prompt)
	if err != nil {
		return "", err
	}
	if p == "" {
		return "", errors.New("the passphrase is empty: take one of some words")
	}
	if isNew {
		again, err := typed(e, tty, "Once more: ")
		if err != nil {
			return "", err
		}
		if p != again {
			return "", errors.New("the two passphrases differ: nothing was written")
		}
	}
	return p, nil
}

// typed reads a line without echo. Whoever gives up with Ctrl-C gets the echo
// back.
func typed(e *env, tty *os.File, prompt string) (string, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for the passphrase: %w", err)
	}
	fmt.Fprint(tty, prompt)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		read <- line{b, err}
	}()
	select {
	case l := <-read:
		fmt.Fprintln(tty)
		if l.err != nil && l.err != io.EOF {
			return "", fmt.Errorf("ask for the passphrase: %w", l.err)
		}
		return strings.TrimRight(string(l.text), "\r\n"), nil
	case <-e.ctx.Done():
		term.Restore(fd, before)
		fmt.Fprintln(tty)
		return "", e.ctx.Err()
	}
}

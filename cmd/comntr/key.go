package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tyler-smith/go-bip39"
	"golang.org/x/term"

	"github.com/comntr/comntr"
)

type keyCmd struct {
	New     keyNewCmd     `cmd:"" help:"Make a key to sign comments with. The first one is the default."`
	Show    keyShowCmd    `cmd:"" help:"Print the names, the public keys and the short marks of your keys."`
	Default keyDefaultCmd `cmd:"" help:"Sign with another key by default."`
	Export  keyExportCmd  `cmd:"" help:"Print a key as 24 words, or keep it in a file behind a passphrase."`
	Import  keyImportCmd  `cmd:"" help:"Take a key from its 24 words on standard input, or from a file that export made."`
}

type keyNewCmd struct {
	Name    string `arg:"" optional:"" help:"What to call the key, on this machine alone (${default})." default:"me"`
	Default bool   `help:"Sign with it by default." env:"-"`
	JSON    bool   `name:"json" help:"Print JSON, for programs."`
}

func (c *keyNewCmd) Run(e *env) error {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails
	return addKey(e, c.Name, seed, c.Default, c.JSON)
}

type keyShowCmd struct {
	Name string `arg:"" optional:"" help:"The key to show; all of them, if none is named."`
	JSON bool   `name:"json" help:"Print JSON, one key a line, for programs."`
}

func (c *keyShowCmd) Run(e *env) error {
	ring, err := userKeys()
	if err != nil {
		return err
	}
	names := []string{c.Name}
	if c.Name == "" {
		if names, err = ring.names(); err != nil {
			return err
		}
		if len(names) == 0 {
			return errNoKeys
		}
	}
	def, err := ring.defaultName()
	if err != nil {
		return err
	}
	// A key that cannot be read does not hide the others.
	var failed error
	for _, name := range names {
		key, err := ring.read(name)
		if err == nil {
			err = printKey(e, name, comntr.PublicKey(key), name == def, c.JSON)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

type keyDefaultCmd struct {
	Name string `arg:"" help:"The key to sign with by default."`
}

func (c *keyDefaultCmd) Run(e *env) error {
	ring, err := userKeys()
	if err != nil {
		return err
	}
	if _, err := ring.read(c.Name); err != nil {
		return err
	}
	return ring.setDefault(c.Name)
}

type keyExportCmd struct {
	Name string `arg:"" optional:"" help:"The key to export. Default: the default key."`
	File string `help:"New file to keep it in, encrypted with a passphrase as age does, instead of printing words. The passphrase is asked for, or $$COMNTR_PASSPHRASE." placeholder:"FILE" env:"-"`
}

func (c *keyExportCmd) Run(e *env) error {
	ring, err := userKeys()
	if err != nil {
		return err
	}
	_, key, err := ring.pick(c.Name)
	if err != nil {
		return err
	}
	words, err := bip39.NewMnemonic(key.Seed())
	if err != nil {
		return err
	}
	if c.File == "" {
		_, err = fmt.Fprintln(e.stdout, words)
		return err
	}
	if _, err := os.Lstat(c.File); err == nil { // before a passphrase is asked for
		return fmt.Errorf("%s is there already, and is not replaced: name another file", c.File)
	}
	pass, err := passphrase(e, "Passphrase for "+c.File+": ", true)
	if err != nil {
		return err
	}
	sealed, err := seal(words+"\n", pass)
	if err != nil {
		return err
	}
	if err := createFile(c.File, sealed); err != nil {
		return fmt.Errorf("export the key: %w", err)
	}
	return nil
}

type keyImportCmd struct {
	Name    string `arg:"" optional:"" help:"What to call the key, on this machine alone (${default})." default:"me"`
	File    string `help:"A file that export made, instead of words on standard input." placeholder:"FILE" env:"-"`
	Default bool   `help:"Sign with it by default." env:"-"`
	JSON    bool   `name:"json" help:"Print JSON, for programs."`
}

func (c *keyImportCmd) Run(e *env) error {
	ring, err := userKeys()
	if err != nil {
		return err
	}
	if err := ring.free(c.Name); err != nil { // before anything is asked for
		return err
	}
	var words string
	if c.File == "" {
		words, err = readWords(e)
	} else {
		words, err = c.open(e)
	}
	if err != nil {
		return err
	}
	seed, err := seedOf(words)
	if err != nil {
		return err
	}
	return addKey(e, c.Name, seed, c.Default, c.JSON)
}

func (c *keyImportCmd) open(e *env) (string, error) {
	f, err := os.Open(c.File)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSealed))
	if err != nil {
		return "", err
	}
	if !looksSealed(b) {
		return "", fmt.Errorf("%s is no file that `comntr key export --file` made; words are read from standard input", c.File)
	}
	pass, err := passphrase(e, "Passphrase of "+c.File+": ", false)
	if err != nil {
		return "", err
	}
	words, err := unseal(b, pass)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", c.File, err)
	}
	return words, nil
}

// keyWords is how many words a key is: 256 bits and 8 of a checksum, 11 each.
const keyWords = 24

// readWords reads words from standard input: to its end, or, where a person
// types them, up to the end of the line that has the last one.
func readWords(e *env) (string, error) {
	in := io.LimitReader(e.stdin, 4<<10)
	if !isTerminal(e.stdin) {
		b, err := io.ReadAll(in)
		if err != nil {
			return "", fmt.Errorf("read the words: %w", err)
		}
		return string(b), nil
	}
	fmt.Fprintf(e.stderr, "The %d words: ", keyWords)
	var b strings.Builder
	buf := make([]byte, 256) // a terminal gives a line at a time
	for len(strings.Fields(b.String())) < keyWords {
		n, err := in.Read(buf)
		b.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", fmt.Errorf("read the words: %w", err)
		}
	}
	return b.String(), nil
}

// seedOf reads a key's words, which carry a checksum.
func seedOf(words string) ([]byte, error) {
	fields := strings.Fields(strings.ToLower(words))
	if len(fields) != keyWords {
		return nil, fmt.Errorf("a key is %d words, not %d", keyWords, len(fields))
	}
	for i, w := range fields {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return nil, fmt.Errorf("word %d is none of the BIP-39 list: look at its spelling", i+1) // not printed: it may be a secret
		}
	}
	seed, err := bip39.EntropyFromMnemonic(strings.Join(fields, " "))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("the words are no key: one is wrong, or two are exchanged")
	}
	return seed, nil
}

// addKey keeps a new key and prints it.
func addKey(e *env, name string, seed []byte, makeDefault, asJSON bool) error {
	ring, err := userKeys()
	if err != nil {
		return err
	}
	if err := ring.add(name, seed); err != nil {
		return err
	}
	def, err := ring.defaultName()
	if err != nil {
		return err
	}
	if def == "" || makeDefault {
		if err := ring.setDefault(name); err != nil {
			return err
		}
		def = name
	}
	return printKey(e, name, comntr.PublicKey(ed25519.NewKeyFromSeed(seed)), name == def, asJSON)
}

func printKey(e *env, name string, key [32]byte, isDefault, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{
			"name": name, "key": hex.EncodeToString(key[:]), "mark": comntr.KeyMark(key), "default": isDefault,
		})
	}
	line := fmt.Sprintf("%s %x %s", name, key, comntr.KeyMark(key))
	if isDefault {
		line += " default"
	}
	_, err := fmt.Fprintln(e.stdout, line)
	return err
}

var (
	errNoKeys    = errors.New("there are no keys: `comntr key new` makes one, `comntr key import` takes one that you have")
	errNoDefault = errors.New("there is no default key: name one; `comntr key show` lists them, `comntr key default NAME` chooses")
)

// keyring is a user's folder of keys: keys/NAME holds 64 hex digits of an
// Ed25519 seed, readable by its owner alone; the file default beside the
// folder keys holds the name of the key that signs where none is named. A key,
// once there, is never replaced.
type keyring struct{ dir string }

// userKeys is $XDG_CONFIG_HOME/comntr, else ~/.config/comntr. Nothing is made.
func userKeys() (keyring, error) {
	if d := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return keyring{filepath.Join(d, "comntr")}, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return keyring{}, fmt.Errorf("find the folder of your keys: %w; XDG_CONFIG_HOME names it", err)
	}
	return keyring{filepath.Join(home, ".config", "comntr")}, nil
}

func (r keyring) path(name string) string { return filepath.Join(r.dir, "keys", name) }

// keyName refuses names that are no plain file's.
func keyName(name string) error {
	ok := name != "" && len(name) <= 64 && name[0] != '.' && name[0] != '-'
	for _, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = ok && (letter || strings.ContainsRune("._-@", c))
	}
	if !ok {
		return fmt.Errorf("%w: %q cannot be a key's name: take letters, digits and ._-@, 64 at most", errUsage, name)
	}
	return nil
}

// names are those of all keys, sorted.
func (r keyring) names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, "keys"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list your keys: %w", err)
	}
	var out []string
	for _, entry := range entries {
		if keyName(entry.Name()) == nil && !entry.IsDir() {
			out = append(out, entry.Name())
		}
	}
	return out, nil
}

// defaultName is the name of the default key, empty where there is none.
func (r keyring) defaultName() (string, error) {
	path := filepath.Join(r.dir, "default")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which key is the default one: %w", err)
	}
	name := strings.TrimSpace(string(b))
	if keyName(name) != nil {
		return "", fmt.Errorf("%s names no key: `comntr key default NAME` writes it anew", path)
	}
	return name, nil
}

func (r keyring) setDefault(name string) error {
	if err := writeFile(filepath.Join(r.dir, "default"), name+"\n"); err != nil {
		return fmt.Errorf("make %s the default key: %w", name, err)
	}
	return nil
}

// read returns a key that is there.
func (r keyring) read(name string) (ed25519.PrivateKey, error) {
	if err := keyName(name); err != nil {
		return nil, err
	}
	f, err := os.Open(r.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		names, err := r.names()
		switch {
		case err != nil:
			return nil, err
		case len(names) == 0:
			return nil, errNoKeys
		}
		return nil, fmt.Errorf("there is no key called %s; there are: %s", name, strings.Join(names, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", name, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others on this machine may read the key %s: if nobody did, chmod 600 %s; else use another", name, r.path(name))
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", name, err)
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s holds no key: 64 hex digits are wanted; put back a copy, or remove it", r.path(name))
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// pick returns the key of that name or, if it is empty, the default key.
func (r keyring) pick(name string) (string, ed25519.PrivateKey, error) {
	if name == "" {
		names, err := r.names()
		if err != nil {
			return "", nil, err
		}
		if len(names) == 0 {
			return "", nil, errNoKeys
		}
		if name, err = r.defaultName(); err != nil {
			return "", nil, err
		}
		if name == "" {
			return "", nil, errNoDefault
		}
	}
	key, err := r.read(name)
	return name, key, err
}

// called is the name of the user's key that is the private half of pub.
func (r keyring) called(pub [32]byte) (name string, ok bool) {
	names, err := r.names()
	if err != nil {
		return "", false
	}
	for _, name := range names {
		if key, err := r.read(name); err == nil && comntr.PublicKey(key) == pub {
			return name, true
		}
	}
	return "", false
}

// free reports whether a key may be given that name.
func (r keyring) free(name string) error {
	if err := keyName(name); err != nil {
		return err
	}
	if _, err := os.Lstat(r.path(name)); err == nil {
		return r.taken(name)
	}
	return nil
}

func (r keyring) taken(name string) error {
	return fmt.Errorf("there is a key called %s already, and it is not replaced: choose another name, or move %s away", name, r.path(name))
}

// add keeps a key under a name that is free.
func (r keyring) add(name string, seed []byte) error {
	if err := keyName(name); err != nil {
		return err
	}
	dir := filepath.Join(r.dir, "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of your keys: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("keep the folder of your keys to yourself: %w", err)
	}
	err := createFile(r.path(name), []byte(hex.EncodeToString(seed)+"\n"))
	if errors.Is(err, fs.ErrExist) {
		return r.taken(name)
	}
	if err != nil {
		return fmt.Errorf("keep the new key: %w", err)
	}
	return nil
}

// createFile makes a new file that only the owner can read, and replaces none.
// It is on the disk when this returns.
func createFile(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(path)
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// isTerminal reports whether a person sits at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

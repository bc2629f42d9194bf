package core_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"knownsender/core"
	"knownsender/core/crosssigning"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/store/sealed"
)

// I21, T56: whatever holds a secret is printed and marshalled as one word. No type can be forgotten: every field of bytes, every text that is named like
// a secret and every foreign type with keys in it makes its type one that must be redacted, unless it is listed here as public.

// public are the fields that may be printed, and why.
var public = map[string]string{
	"core.RoomKeyRequest.Content":  "goes to the server as it is",
	"core.SyncChanges.ToDevice":    "comes from the server as it is",
	"core.addressed.content":       "goes to the server as it is",
	"core.ownAccount.published":    "device keys",
	"core.replayBlock.extra":       "of a row of indexes and event ids",
	"crosssigning.Published":       "public keys and signatures",
	"keyfile.BackupRow.Raw":        "sealed for the backup",
	"keyfile.SealedFile":           "what lies in a file",
	"keyfile.SealedSession":        "what lies in a backup",
	"lane.Request.Body":            "goes to the server as it is",
	"megolm.Message":               "a ciphertext",
	"megolm.SessionID":             "a public key",
	"keys.Curve25519":              "a public key",
	"keys.Ed25519":                 "a public key",
	"keys.Signature":               "a signature",
	"olm.Channels.gone":            "hashes of public keys",
	"record.ReplayBlock.Extra":     "of a row of indexes and event ids",
	"record.RoomSettings.Extra":    "of a row of settings",
	"record.Shares.Extra":          "of a row of who has a room key",
	"sender.walk.check":            "over device keys",
	"sender.encounter.selfCheck":   "over device keys",
	"core.offer.check":             "over a one-time key",
	"signedjson.walk":              "of one call, which gives it to nobody",
	"signedjson.canonicalizer":     "of one call, which gives it to nobody",
	"record.packer":                "of one call, which gives it to nobody",
	"record.unpacker":              "of one call, which gives it to nobody",
	"sender.Copy.EmbeddedDevice":   "device keys",
	"sender.Envelope.DeviceKeys":   "device keys",
	"sender.Serialized.DeviceKeys": "device keys",
	"sealed.Locked.Header":         "lies on the disk",
	"sealed.reader":                "of one call, which gives it to nobody",
	"signedjson.member.name":       "a name",
	"trust.DeviceRecord.Raw":       "device keys",
	"trust.KeyRecord.Raw":          "a public key",
	"trust.UserRecord.Extra":       "of a row of public keys",
	"trust.answeredDevice.raw":     "device keys",
	"trust.answeredKey.raw":        "a public key",
	"trust.digest":                 "over public keys and signatures",
}

// foreign are types of others that hold keys.
var foreign = regexp.MustCompile(`^(ed25519\.PrivateKey|ecdh\.PrivateKey|account\.Account|session\.OlmSession|cipher\.\w+|hash\.Hash|bytes\.(Buffer|Reader))$`)

// secretName is what a text is called that is a secret.
var secretName = regexp.MustCompile(`(?i)(secret|passphrase|private|plaintext|seed|session_?key$)`)

// declared is a type as the source has it.
type declared struct {
	fields   []field
	redacted bool // it has Format, of its own or of what it embeds
}

type field struct {
	name     string // empty when embedded
	kind     string // as the source says, with the package and without * and []
	pointer  bool
	exported bool
}

// sources are all types of the package and those below, by package and name.
func sources(t *testing.T) map[string]*declared {
	t.Helper()
	types := map[string]*declared{}
	at := func(name string) *declared {
		if types[name] == nil {
			types[name] = &declared{}
		}
		return types[name]
	}
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry.Name() == "testdata" || entry.Name() == "testkit" || entry.Name() == "storetest" || entry.Name() == "modeltest" {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				if node.Recv != nil && node.Name.Name == "Format" {
					kind, _ := kindOf(file.Name.Name, node.Recv.List[0].Type)
					at(kind).redacted = true
				}
			case *ast.TypeSpec:
				made := at(file.Name.Name + "." + node.Name.Name)
				of, ok := node.Type.(*ast.StructType)
				if !ok {
					if kind, pointer := kindOf(file.Name.Name, node.Type); kind == "byte" && !pointer {
						made.fields = append(made.fields, field{kind: kind})
					}
					return true
				}
				for _, f := range of.Fields.List {
					kind, pointer := kindOf(file.Name.Name, f.Type)
					if len(f.Names) == 0 {
						made.fields = append(made.fields, field{kind: kind, pointer: pointer, exported: true})
					}
					for _, name := range f.Names {
						made.fields = append(made.fields, field{name.Name, kind, pointer, name.IsExported()})
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// kindOf is the type without what stands around it; a single byte is no bytes.
func kindOf(pkg string, expr ast.Expr) (kind string, pointer bool) {
	switch e := expr.(type) {
	case *ast.Ident:
		if ast.IsExported(e.Name) || types0[e.Name] == "" {
			return pkg + "." + e.Name, false
		}
		return "one " + e.Name, false
	case *ast.SelectorExpr:
		return e.X.(*ast.Ident).Name + "." + e.Sel.Name, false
	case *ast.StarExpr:
		kind, _ = kindOf(pkg, e.X)
		return kind, true
	case *ast.ArrayType:
		kind, pointer = kindOf(pkg, e.Elt)
		return strings.TrimPrefix(kind, "one "), pointer
	case *ast.MapType:
		kind, pointer = kindOf(pkg, e.Value)
		return strings.TrimPrefix(kind, "one "), pointer
	case *ast.IndexExpr:
		return kindOf(pkg, e.X)
	}
	return "", false
}

// types0 are the types of the language that matter here.
var types0 = map[string]string{
	"byte": "x", "uint8": "x", "string": "x", "bool": "x", "int": "x", "int32": "x", "int64": "x", "uint32": "x", "uint64": "x", "uint16": "x", "float64": "x", "error": "x", "any": "x",
}

func TestEveryTypeWithASecretIsRedacted(t *testing.T) {
	types := sources(t)
	used := map[string]bool{}
	isPublic := func(name string) bool {
		_, is := public[name]
		used[name] = used[name] || is
		return is
	}
	// What a type has that may not be printed; "" for nothing.
	var bare func(name string) string
	seen := map[string]bool{}
	var redacted func(name string) bool
	redacted = func(name string) bool {
		d := types[name]
		if d == nil {
			return false
		}
		for _, f := range d.fields {
			if f.name == "" && f.kind != "byte" && (f.kind == "redact.Secret" || redacted(f.kind)) {
				return true
			}
		}
		return d.redacted
	}
	bare = func(name string) string {
		d := types[name]
		if d == nil || seen[name] || isPublic(name) {
			return ""
		}
		seen[name] = true
		defer delete(seen, name)
		for _, f := range d.fields {
			of := name + "." + f.name
			raw := f.kind == "byte" || f.kind == "uint8" || foreign.MatchString(f.kind) || strings.TrimPrefix(f.kind, "one ") == "string" && secretName.MatchString(f.name)
			switch {
			case isPublic(of):
			case raw:
				return of
			case f.pointer && !f.exported: // fmt prints an address
			case redacted(f.kind):
				// fmt does not ask a field for its form that is not exported: it prints what is inside.
				if !f.exported {
					return of
				}
			case bare(f.kind) != "":
				return of + ", " + bare(f.kind)
			}
		}
		return ""
	}
	holders := 0
	for name := range types {
		why := bare(name)
		if why == "" {
			continue
		}
		holders++
		if !redacted(name) {
			t.Errorf("%s holds what may be secret, %s: let it embed redact.Secret, or list the field as public", name, why)
		}
	}
	for name := range public {
		if !used[name] {
			t.Errorf("%s is listed as public and is not there", name)
		}
	}
	if holders < 25 {
		t.Errorf("only %d types with a secret were found", holders)
	}

	// Those that others see are printed in every way, below: none of them is left out there.
	printed := map[string]bool{}
	for _, value := range secretValues() {
		printed[reflect.TypeOf(value).Elem().String()] = true
	}
	for name := range types {
		pkg, short, _ := strings.Cut(name, ".")
		if bare(name) != "" && ast.IsExported(short) && !printed[pkg+"."+short] {
			t.Errorf("%s is secret, and not among those that are printed", name)
		}
	}
}

// secretValues are the exported types that hold a secret.
func secretValues() []any {
	return []any{
		&core.DecryptedEvent{}, &core.Decryption{}, &core.Export{}, &core.Import{}, &core.Machine{}, &crosssigning.Export{}, &crosssigning.Keys{}, &keyfile.BackupKey{}, &keyfile.BundleDescriptor{}, &keyfile.BundleWriter{},
		&keyfile.Entry{}, &keyfile.Ephemeral{}, &keyfile.SenderDataKey{}, &keyfile.Splitter{}, &keys.Check{}, &keys.Exchange{}, &megolm.InboundSession{}, &megolm.Opening{}, &megolm.OutboundSession{}, &megolm.SessionKey{},
		&olm.Account{}, &olm.Channels{}, &olm.Decrypted{}, &olm.Message{}, &olm.Outbound{}, &olm.Session{}, &record.Account{Account: &olm.Account{}}, &record.Channels{}, &record.CrossSigning{Keys: &crosssigning.Keys{}}, &record.Outbound{}, &sender.DecryptedOlmEvent{},
		&signedjson.Object{}, &sealed.Item{}, &sealed.Secret{}, &store.Op{}, &store.Row{},
	}
}

// Every way of making a text of a value, of a pointer to it, and of what holds it.
func TestSecretsArePrintedAsOneWord(t *testing.T) {
	const mark = 0xa7
	forbidden := []string{"a7a7", "A7A7", "167", "0xa7", "p6en", "\xa7\xa7", `\xa7`, "\\u00a7"}
	for _, pointer := range secretValues() {
		name := reflect.TypeOf(pointer).Elem().String()
		t.Run(name, func(t *testing.T) {
			fill(reflect.ValueOf(pointer).Elem(), mark, 0)
			timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{} // it may have any digits
				}
				return a
			}}
			values := []any{pointer, struct{ In any }{pointer}, []any{pointer}, map[string]any{"in": pointer}}
			if name != "core.Machine" && name != "core.Import" { // hold locks, and are never copied
				value := reflect.ValueOf(pointer).Elem().Interface()
				values = append(values, value, struct{ In any }{value}, []any{value})
			}
			for _, value := range values {
				var texts []string
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "% x", "%#x", "%t"} {
					texts = append(texts, fmt.Sprintf(verb, value))
				}
				texts = append(texts, fmt.Sprint(value), fmt.Sprintln(value), fmt.Errorf("failed: %v", value).Error())
				if text, err := json.Marshal(value); err == nil {
					texts = append(texts, string(text))
				}
				var log bytes.Buffer
				for _, handler := range []slog.Handler{slog.NewTextHandler(&log, timeless), slog.NewJSONHandler(&log, timeless)} {
					slog.New(handler).Info("held", "value", value)
				}
				for _, text := range append(texts, log.String()) {
					for _, bad := range forbidden {
						if strings.Contains(text, bad) {
							t.Fatalf("%T is printed as %.200q", value, text)
						}
					}
				}
			}
		})
	}
	// The marks would be seen: the same in a type that is not redacted.
	open := struct{ Key []byte }{bytes.Repeat([]byte{mark}, 32)}
	for i, text := range []string{fmt.Sprintf("%x", open), fmt.Sprintf("%X", open), fmt.Sprint(open), fmt.Sprintf("%#v", open)} {
		if !strings.Contains(text, forbidden[i]) {
			t.Errorf("%s: the net has holes", text)
		}
	}
}

// fill makes every byte, number and text inside a value the mark, exported or not; lists get 32 elements.
func fill(v reflect.Value, mark byte, depth int) {
	if depth > 6 {
		return
	}
	if !v.CanSet() {
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		if strings.HasPrefix(v.Type().PkgPath(), "sync") {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), mark, depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), mark, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 32, 32))
		for i := range v.Len() {
			fill(v.Index(i), mark, depth+1)
		}
	case reflect.String:
		v.SetString(strings.Repeat(string([]byte{mark}), 32))
	case reflect.Pointer:
		if v.IsNil() && v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.New(v.Type().Elem()))
		}
		if !v.IsNil() {
			fill(v.Elem(), mark, depth+1)
		}
	case reflect.Uint8:
		v.SetUint(uint64(mark))
	}
}

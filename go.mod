module knownsender

go 1.26

require (
	filippo.io/edwards25519 v1.2.0
	github.com/go-json-experiment/json v1.27.2
	github.com/hack-pad/safejs v0.1.1
	github.com/syumai/workers v0.31.0
	github.com/vmihailenco/msgpack/v5 v5.4.1
	maunium.net/go/mautrix v0.30.0
)

require (
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
	go.mau.fi/util v0.10.0 // indirect
	golang.org/x/crypto v0.55.0 // indirect
)

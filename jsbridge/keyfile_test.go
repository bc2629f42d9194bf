package jsbridge

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"knownsender/core/keys"
	"knownsender/jsbridge/frame"
)

// agreeing is a host that answers agree as a test wants.
type agreeing func(items [][]byte) ([]byte, error)

func (f agreeing) Call(_ context.Context, method string, request []byte) ([]byte, error) {
	items, err := frame.Decode(request)
	if err != nil || method != "agree" {
		return nil, errors.New("asked for " + method)
	}
	return f(items)
}

// Given key agreements, one of which gives nothing, when the host is asked, then its answers are those of Go; and where it has none, or half of one, they
// still are.
func TestAHostThatFailsChangesNoSecret(t *testing.T) {
	public := keys.Curve25519((&keys.Exchange{Private: [32]byte{2}, Public: keys.BasePoint}).Agree())
	exchanges := []keys.Exchange{{Private: [32]byte{1}, Public: public}, {Private: [32]byte{1}}, {Private: [32]byte{3}, Public: public}}
	asked := 0
	works := func(items [][]byte) (answer []byte, err error) {
		asked += len(items) / 2
		for i := 0; i < len(items); i += 2 {
			e := keys.Exchange{Private: [32]byte(items[i]), Public: keys.Curve25519(items[i+1])}
			if secret := e.Agree(); secret != nil {
				answer = append(append(answer, 1), secret...)
			} else {
				answer = append(answer, make([]byte, 33)...)
			}
		}
		return answer, nil
	}
	for name, host := range map[string]agreeing{
		"works":   works,
		"fails":   func([][]byte) ([]byte, error) { return nil, errors.New("broken") },
		"nothing": func([][]byte) ([]byte, error) { return nil, nil },
		"short":   func([][]byte) ([]byte, error) { return make([]byte, 33), nil },
		"has no X25519": func([][]byte) ([]byte, error) {
			return nil, &HostError{Method: "agree", Code: "webcrypto_unsupported"}
		},
	} {
		secrets, err := NewWebCrypto(host).Agree(t.Context(), exchanges)
		if err != nil || len(secrets) != len(exchanges) {
			t.Fatalf("%s: %d, %v", name, len(secrets), err)
		}
		for i := range exchanges {
			if want := exchanges[i].Agree(); !bytes.Equal(secrets[i], want) || (want == nil) != (i == 1) {
				t.Errorf("%s: secret %d is another", name, i)
			}
		}
	}
	if asked != len(exchanges) {
		t.Errorf("asked for %d", asked)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewWebCrypto(agreeing(works)).Agree(over, exchanges); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

package core

import (
	"context"

	"knownsender/core/keys"
)

// The key agreements with which Olm sessions begin, those that others begin with us and those that we begin: by the engine that the machine was given, many in
// one call, and in between the page has its turn.

// agreedAtOnce is how many exchanges are agreed before the page has its turn: some thirty milliseconds where they are agreed in Go.
const agreedAtOnce = 96

// agreed is what the exchanges agree on, by the engine that the machine was given.
func (m *Machine) agreed(ctx context.Context, exchanges []keys.Exchange) ([][]byte, error) {
	var secrets [][]byte
	for len(secrets) < len(exchanges) {
		if len(secrets) > 0 && m.rest != nil {
			m.turn.give(m.rest)
		}
		some, err := m.agree(ctx, exchanges[len(secrets):min(len(secrets)+agreedAtOnce, len(exchanges))])
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, some...)
	}
	return secrets, nil
}

func (m *Machine) agree(ctx context.Context, exchanges []keys.Exchange) (secrets [][]byte, err error) {
	m.turn.give(func() { secrets, err = m.agreement.Agree(ctx, exchanges) })
	switch {
	case err == nil && m.closed:
		err = errClosed()
	case err == nil && len(secrets) != len(exchanges):
		panic("internal error: another number of secrets than of exchanges")
	}
	return secrets, err
}

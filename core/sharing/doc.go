// Package sharing decides who gets our room keys, and when a room needs a new one.
//
// The rule of this package: it only decides. It sees devices and identities as trust.Index has them and the shares of a session as they were
// recorded, and answers with devices, codes and reasons; it makes no key and sends nothing. The strategies are those of matrix-sdk-crypto's
// CollectStrategy, and so are the bounds and defaults of rotation; MSC4153 is why there is more than one strategy.
package sharing

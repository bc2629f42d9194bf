package core_test

import "knownsender/core"

// PeersTold hands the news to whoever plays the other tabs.
func (h *heard) PeersTold(news core.PeerNews) {
	if h.told != nil {
		h.told(news)
	}
}

package keys

// LowOrderPoints and LowOrderCoordinates let the tests prove the tables against real arithmetic.
func LowOrderPoints() [][32]byte      { return lowOrderPoints[:] }
func LowOrderCoordinates() [][32]byte { return lowOrderCoordinates[:] }

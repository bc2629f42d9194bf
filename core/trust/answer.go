package trust

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/signedjson"
)

// Limits bound what of an answer is read. What lies beyond is refused by name; the rest is read (T49).
type Limits struct {
	Bytes          int // of the whole answer
	Users          int // users in it
	DevicesPerUser int // a user with more keeps the devices we know; at most 65,535
	Devices        int // devices in the whole answer; users beyond it keep the devices we know
	Problems       int // problems listed; the rest is counted
}

// DefaultLimits are far above what real accounts have: the largest seen have some hundred devices, a request names at most 250 users.
var DefaultLimits = Limits{Bytes: 32 << 20, Users: 10_000, DevicesPerUser: 2_000, Devices: 50_000, Problems: 1_000}

// Answer is the body of a /keys/query answer, taken apart into what it says of whom. The parts are not judged yet, except that each is the
// JSON of its place. It refers to the bytes it was parsed from, which must not change while it is in use.
type Answer struct {
	users    []*answered // ascending
	failures map[string]struct{}
	problems problems
}

// answered is what an answer says of one user.
type answered struct {
	user    ids.UserID
	listed  bool // has an entry in device_keys
	refused bool // which cannot be used as a list: nothing is added or removed
	devices []answeredDevice
	keys    [RoleUserSigning + 1]answeredKey // by role
	sum     digest                           // once it was asked for
}

type answeredDevice struct {
	id      ids.DeviceID
	raw     []byte
	refused bool // listed twice
}

type answeredKey struct {
	raw     []byte // nil: not in the answer
	refused bool   // listed twice
}

// ParseAnswer takes the body of a /keys/query answer apart. Whatever is wrong with one user, device or key is a Problem of theirs and leaves
// the others alone. The error is an *AnswerError: bad_answer, answer_too_large or duplicate_member.
func ParseAnswer(raw []byte, limits Limits) (*Answer, error) {
	if len(raw) > limits.Bytes {
		return nil, &AnswerError{Code: CodeAnswerTooLarge, Expected: limits.Bytes, Got: len(raw)}
	}
	reading := &reading{limits: limits, answer: &Answer{problems: problems{limit: limits.Problems}}, users: make(map[ids.UserID]*answered)}
	var sections [len(sectionNames)][]byte
	var twice string
	whole := signedjson.EachMember(raw, func(quoted []byte, value jsontext.Value) bool {
		name, ok := signedjson.Unquote(quoted)
		if at := slices.Index(sectionNames[:], name); ok && at >= 0 {
			if sections[at] != nil {
				twice = name
			}
			sections[at] = value
		}
		return true
	})
	if !whole {
		return nil, &AnswerError{Code: CodeBadAnswer}
	}
	if twice != "" {
		return nil, &AnswerError{Code: CodeDuplicateMember, Member: twice}
	}
	for at, section := range sections {
		if section == nil || string(section) == "null" {
			continue
		}
		ok := true
		switch at {
		case sectionFailures:
			ok = reading.readFailures(section)
		case sectionDevices:
			ok = reading.readDevices(section)
		default:
			ok = reading.readKeys(section, Role(at)-sectionDevices)
		}
		if !ok {
			reading.answer.problems.add(Problem{Code: CodeBadSection, Message: "`" + sectionNames[at] + "` is not an object; it was passed over from where it is broken"})
		}
	}
	return reading.finish(), nil
}

// The members of an answer that are read. The three keys stand behind the devices in the order of their roles.
var sectionNames = [...]string{"failures", "device_keys", "master_keys", "self_signing_keys", "user_signing_keys"}

const (
	sectionFailures = 0
	sectionDevices  = 1
)

// Users is everybody the answer says something of, ascending: whose stored rows Prepare needs, as far as there are any.
func (a *Answer) Users() []ids.UserID {
	users := make([]ids.UserID, len(a.users))
	for n, of := range a.users {
		users[n] = of.user
	}
	return users
}

// Parts divides the answer into answers about at most so many users each, in order: what it says of one user is independent of the others, unless
// NeedsAll says that it is not. What is wrong with the answer as a whole stands in the first part.
func (a *Answer) Parts(users int) []*Answer {
	var parts []*Answer
	for some := range slices.Chunk(a.users, users) {
		parts = append(parts, &Answer{users: some, failures: a.failures, problems: problems{limit: a.problems.limit}})
	}
	if len(parts) == 0 {
		return []*Answer{a}
	}
	parts[0].problems = a.problems
	return parts
}

// Problems is what could not even be taken apart. Change.Problems repeats it.
func (a *Answer) Problems() []Problem { return a.problems.all() }

// of is what the answer says of the user, nil when it says nothing.
func (a *Answer) of(user ids.UserID) *answered {
	at, found := slices.BinarySearchFunc(a.users, user, func(of *answered, user ids.UserID) int {
		return strings.Compare(string(of.user), string(user))
	})
	if !found {
		return nil
	}
	return a.users[at]
}

// failed says that the user's server could not be asked.
func (a *Answer) failed(user ids.UserID) bool {
	if len(a.failures) == 0 {
		return false
	}
	_, failed := a.failures[user.Server()]
	return failed
}

// reading is an answer being taken apart.
type reading struct {
	limits  Limits
	answer  *Answer
	users   map[ids.UserID]*answered
	devices int
	crowded bool // more users than the limit
}

// user finds or begins what the answer says of a user; nil when the name is not one or one too many.
func (r *reading) user(quoted []byte) *answered {
	name, ok := signedjson.Unquote(quoted)
	if of := r.users[ids.UserID(name)]; ok && of != nil {
		return of
	}
	user, err := ids.ParseUserID(name)
	if err != nil || !ok {
		r.answer.problems.add(Problem{UserID: ids.UserID(cut(name)), Code: ids.CodeBadUserID, Message: "the answer lists something that is not a user id"})
		return nil
	}
	if len(r.users) >= r.limits.Users {
		if !r.crowded {
			r.crowded = true
			r.answer.problems.add(Problem{Code: CodeTooManyUsers})
		}
		return nil
	}
	of := &answered{user: user}
	r.users[user] = of
	return of
}

func (r *reading) readFailures(section []byte) bool {
	failures := make(map[string]struct{})
	ok := signedjson.EachMember(section, func(quoted []byte, _ jsontext.Value) bool {
		if len(failures) < r.limits.Users {
			name, _ := signedjson.Unquote(quoted) // "" where it cannot be read: nobody's server
			failures[name] = struct{}{}
		}
		return true
	})
	r.answer.failures = failures
	return ok
}

func (r *reading) readKeys(section []byte, role Role) bool {
	return signedjson.EachMember(section, func(quoted []byte, value jsontext.Value) bool {
		of := r.user(quoted)
		if of == nil {
			return true
		}
		key := &of.keys[role]
		if key.raw != nil && !key.refused {
			key.refused = true
			r.answer.problems.add(Problem{UserID: of.user, Key: role, Code: CodeDuplicateMember})
		}
		key.raw = value
		return true
	})
}

func (r *reading) readDevices(section []byte) bool {
	return signedjson.EachMember(section, func(quoted []byte, value jsontext.Value) bool {
		of := r.user(quoted)
		if of == nil {
			return true
		}
		problem := Problem{UserID: of.user}
		switch {
		case of.listed:
			problem.Code = CodeDuplicateMember
		case !r.readDevicesOf(of, value, &problem):
			problem.Code = CodeBadUserEntry
		}
		of.listed = true
		if problem.Code != "" && !of.refused {
			of.refused, of.devices = true, nil
			r.answer.problems.add(problem)
		}
		return true
	})
}

// readDevicesOf lists a user's devices. It answers false when the list is broken, and puts a code into problem when it is too long.
func (r *reading) readDevicesOf(of *answered, list []byte, problem *Problem) bool {
	whole := signedjson.EachMember(list, func(quoted []byte, value jsontext.Value) bool {
		if len(of.devices) >= min(r.limits.DevicesPerUser, maxDevices) || r.devices >= r.limits.Devices {
			problem.Code = CodeTooManyDevices
			return false
		}
		r.devices++
		name, ok := signedjson.Unquote(quoted)
		id, err := ids.ParseDeviceID(name)
		if err != nil || !ok {
			r.answer.problems.add(Problem{UserID: of.user, DeviceID: ids.DeviceID(cut(name)), Code: ids.CodeBadDeviceID,
				Message: "the answer lists something that is not a device id"})
			return true
		}
		of.devices = append(of.devices, answeredDevice{id: id, raw: value})
		return true
	})
	return whole || problem.Code != ""
}

// finish puts users and devices into order and finds devices that are listed twice: neither is taken, and a stored one stays.
func (r *reading) finish() *Answer {
	for _, of := range r.users {
		slices.SortStableFunc(of.devices, func(a, b answeredDevice) int { return strings.Compare(string(a.id), string(b.id)) })
		kept := of.devices[:0]
		for _, device := range of.devices {
			if last := len(kept) - 1; last >= 0 && kept[last].id == device.id {
				if !kept[last].refused {
					kept[last].refused = true
					r.answer.problems.add(Problem{UserID: of.user, DeviceID: device.id, Code: CodeDuplicateMember})
				}
				continue
			}
			kept = append(kept, device)
		}
		of.devices = kept
		r.answer.users = append(r.answer.users, of)
	}
	slices.SortFunc(r.answer.users, func(a, b *answered) int { return strings.Compare(string(a.user), string(b.user)) })
	return r.answer
}

// problems collects up to a limit and counts what lies beyond.
type problems struct {
	list    []Problem
	limit   int
	further int
}

func (p *problems) add(problem Problem) {
	if len(p.list) >= p.limit {
		p.further++
		return
	}
	if problem.Message == "" {
		problem.Message = explanations[problem.Code]
	}
	p.list = append(p.list, problem)
}

func (p *problems) clone() problems {
	return problems{list: slices.Clip(p.list), limit: p.limit, further: p.further}
}

func (p *problems) all() []Problem {
	if p.further == 0 {
		return p.list
	}
	return append(slices.Clip(p.list), Problem{Code: CodeTooManyProblems, Message: "there are " + strconv.Itoa(p.further) + " problems more"})
}

// cut is a name from an answer, short enough to be repeated.
func cut(name string) string {
	if len(name) > ids.MaxLength {
		name = name[:ids.MaxLength]
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

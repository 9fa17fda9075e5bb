import MQLock
import MQLockTesting
import Testing

/// Histories come from other processes, which may die while they write, and from whoever has recorded one. Nothing traps,
/// and whatever is an event can be judged.
@Suite("Whatever a history holds") struct FuzzTests {
    private static let kinds: [History.Kind] = [
        .waiting, .granted(token: 7), .ended(cause: .released, validUntil: 81),
        .ended(cause: .lost("why"), validUntil: 2),
        .gaveUp, .wrote(token: 7, accepted: true, resource: "r"), .processDied, .processStopped, .processContinued,
        .brokerDown, .brokerUp,
    ]

    private static let words = [
        "granted", "ended", "released", "lost", "waiting", "brokerDown", "brokerUp", "processStopped",
        "processContinued", "\"at\":", "\"token\":", "true", "false", "null", "\"\"", "\n",
    ]

    @Test func linesOfHistories() async {
        let examples = Self.kinds.map { History.Event(at: 81, process: "w1", contender: "a", name: "n", kind: $0).line }
        let fault = await Fuzzing.firstFault(in: "lines of histories", examples: examples, words: Self.words) { bytes in
            guard let event = try? History.Event(line: String(decoding: bytes, as: UTF8.self)) else { return .refused }
            return (try? History.Event(line: event.line)) == event ? .read : .wrong("another event")
        }
        #expect(fault == nil)
    }

    @Test func wholeHistories() async {
        let checkers = [
            HistoryChecker(), HistoryChecker(maximumFree: .zero),
            HistoryChecker(maximumFree: Duration(attoseconds: .max), tolerance: Duration(attoseconds: .min)),
        ]
        let all = Self.kinds.enumerated().map { place, kind in
            History.Event(at: UInt64(place * 10), process: "w1", contender: "a", name: "n", kind: kind).line
        }
        let contended = [
            History.Event(at: 1, process: "w1", contender: "a", name: "n", kind: .waiting),
            History.Event(at: 2, process: "w1", contender: "a", name: "n", kind: .granted(token: 1)),
            History.Event(at: 2, process: "w2", contender: "a", name: "n", kind: .waiting),
            History.Event(
                at: 9, process: "w1", contender: "a", name: "n", kind: .ended(cause: .released, validUntil: 8)),
            History.Event(at: 9, process: "w2", contender: "a", name: "n", kind: .granted(token: 2)),
        ].map(\.line)
        let fault = await Fuzzing.firstFault(
            in: "histories", examples: [all.joined(), contended.joined()], words: Self.words, count: Fuzzing.count / 10
        ) { bytes in
            guard let events = try? History.events(fromLines: String(decoding: bytes, as: UTF8.self)) else {
                return .refused
            }
            for checker in checkers {
                let verdict = checker.check(events)
                guard !verdict.description.isEmpty else { return .wrong("nothing to say") }
            }
            return .read
        }
        #expect(fault == nil)
    }
}

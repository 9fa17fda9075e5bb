import MQLockTesting
import Testing

@Suite("History checker") struct HistoryCheckerTests {
    typealias Kind = Verdict.Violation.Kind

    private func event(_ at: UInt64, _ process: String, _ kind: History.Kind) -> History.Event {
        switch kind {
        case .processDied, .processStopped, .processContinued, .brokerDown, .brokerUp:
            History.Event(at: at, process: process, kind: kind)
        default: History.Event(at: at, process: process, contender: "c", name: "n", kind: kind)
        }
    }

    private func released(_ at: UInt64) -> History.Kind { .ended(cause: .released, validUntil: at) }

    private func kinds(_ events: [History.Event], bound: Duration? = nil) -> [Kind] {
        HistoryChecker(maximumFree: bound).check(events).violations.map(\.kind)
    }

    @Test func nothingIsGood() {
        #expect(HistoryChecker(maximumFree: .zero).check([]).isGood)
    }

    @Test func overlap() {
        let events = [
            event(1, "a", .granted(token: 1)), event(5, "b", .granted(token: 2)), event(6, "a", released(6)),
            event(9, "b", released(9)),
        ]
        #expect(kinds(events) == [.overlap])
        #expect(HistoryChecker(tolerance: .nanoseconds(1)).check(events).isGood)
    }

    @Test func overlapWithALongHoldBeforeTheLast() {
        let events = [
            event(1, "a", .granted(token: 1)), event(2, "b", .granted(token: 2)), event(3, "b", released(3)),
            event(5, "c", .granted(token: 3)), event(6, "c", released(6)), event(9, "a", released(9)),
        ]
        #expect(kinds(events) == [.overlap, .overlap])
    }

    @Test func touchingIntervalsDoNotOverlap() {
        #expect(
            kinds([event(1, "a", .granted(token: 1)), event(5, "a", released(5)), event(5, "b", .granted(token: 2))])
                == [])
    }

    @Test func openHoldOverlapsWithEveryLaterOne() {
        #expect(kinds([event(1, "a", .granted(token: 1)), event(5, "b", .granted(token: 2))]) == [.overlap])
    }

    @Test func killedHolderEndsAtItsDeath() {
        let grant = event(1, "a", .granted(token: 1))
        #expect(kinds([grant, event(4, "a", .processDied), event(5, "b", .granted(token: 2))]) == [])
        #expect(kinds([grant, event(6, "a", .processDied), event(5, "b", .granted(token: 2))]) == [.overlap])
    }

    @Test func stoppedHolderEndsAtItsProof() {
        let lost = History.Kind.ended(cause: .lost("proof"), validUntil: 4)
        let events = [
            event(1, "a", .granted(token: 1)), event(2, "a", .processStopped), event(5, "b", .granted(token: 2)),
            event(7, "a", .processContinued), event(8, "a", lost), event(9, "b", released(9)),
        ]
        #expect(kinds(events) == [])
        var late = events
        late[4].kind = .ended(cause: .lost("proof"), validUntil: 6)
        #expect(kinds(late) == [.overlap])
    }

    @Test func holderKilledWhileStoppedEndsAtTheStop() {
        let events = [
            event(1, "a", .granted(token: 1)), event(2, "a", .processStopped), event(5, "b", .granted(token: 2)),
            event(7, "a", .processDied), event(9, "b", released(9)),
        ]
        #expect(kinds(events) == [])
        #expect(kinds(events.filter { $0.kind != .processDied }) == [])
    }

    @Test func tokens() {
        let repeated = [
            event(1, "a", .granted(token: 7)), event(2, "a", released(2)), event(3, "b", .granted(token: 7)),
            event(4, "b", released(4)),
        ]
        #expect(kinds(repeated) == [.tokenRepeated])
        var back = repeated
        back[2].kind = .granted(token: 6)
        #expect(kinds(back) == [.tokenWentBack])
    }

    @Test func grantsOfOneInstantAreRemarkedOnAndTakenInOrderOfTokens() {
        let events = [
            event(3, "b", .granted(token: 7)), event(3, "b", released(3)), event(3, "a", .granted(token: 6)),
            event(3, "a", released(3)),
        ]
        let verdict = HistoryChecker().check(events)
        #expect(verdict.isGood)
        #expect(verdict.remarks.count == 1)
    }

    @Test func staleWriteAccepted() {
        let events = [
            event(1, "a", .granted(token: 1)), event(2, "a", released(2)), event(3, "b", .granted(token: 2)),
            event(4, "b", .wrote(token: 2, accepted: true, resource: "r")),
            event(5, "a", .wrote(token: 1, accepted: true, resource: "r")), event(6, "b", released(6)),
        ]
        #expect(kinds(events) == [.staleWrite])
        var refused = events
        refused[4].kind = .wrote(token: 1, accepted: false, resource: "r")
        let verdict = HistoryChecker().check(refused)
        #expect(verdict.isGood)
        #expect(verdict.statistics.refusedWrites == 1)
        var other = events
        other[4].kind = .wrote(token: 1, accepted: true, resource: "other")
        #expect(kinds(other) == [.lateWrite])
    }

    @Test func lateWriteCountsOnlyAfterALaterGrant() {
        let late = event(4, "a", .wrote(token: 1, accepted: true, resource: "r"))
        let before = [event(1, "a", .granted(token: 1)), event(2, "a", released(2))]
        #expect(kinds(before + [late]) == [])
        #expect(kinds(before + [event(3, "b", .granted(token: 2)), late]) == [.lateWrite])
    }

    @Test func leftFree() {
        let events = [
            event(100, "a", .waiting), event(1100, "a", .granted(token: 1)), event(1200, "a", released(1200)),
        ]
        #expect(kinds(events, bound: .nanoseconds(999)) == [.leftFree])
        #expect(kinds(events, bound: .nanoseconds(1000)) == [])
        #expect(kinds(events) == [])
        let down = [event(200, "broker", .brokerDown), event(1000, "broker", .brokerUp)]
        #expect(kinds(events + down, bound: .nanoseconds(100)) == [])
        #expect(kinds(events + down, bound: .nanoseconds(99)) == [.leftFree, .leftFree])
        let stopped = [event(150, "a", .processStopped), event(1090, "a", .processContinued)]
        #expect(kinds(events + stopped, bound: .nanoseconds(50)) == [])
    }

    @Test func leftFreeToTheEnd() {
        let waiting = [event(100, "a", .waiting), event(5000, "b", .waiting)]
        #expect(kinds(waiting, bound: .nanoseconds(10)) == [.leftFree])
        #expect(kinds(waiting + [event(105, "a", .gaveUp)], bound: .nanoseconds(10)) == [])
        #expect(kinds(waiting + [event(105, "a", .processDied)], bound: .nanoseconds(10)) == [])
    }

    @Test func malformed() {
        let grant = event(1, "a", .granted(token: 1))
        #expect(kinds([event(1, "a", released(1))]) == [.malformed])
        #expect(kinds([grant, event(2, "a", .granted(token: 2))]) == [.malformed])
        #expect(kinds([grant, event(2, "a", .wrote(token: 9, accepted: false, resource: "r"))]) == [.malformed])
        #expect(kinds([grant, event(2, "a", .ended(cause: .released, validUntil: 3))]) == [.malformed])
        #expect(kinds([event(1, "a", .processDied), event(2, "a", .waiting)]) == [.malformed])
    }

    @Test func handOversAndTable() {
        let verdict = HistoryChecker().check([
            event(0, "a", .granted(token: 1)), event(1, "b", .waiting), event(2, "c", .waiting),
            event(10, "a", released(10)), event(30, "b", .granted(token: 2)), event(40, "b", .processDied),
            event(90, "c", .granted(token: 3)), event(100, "c", .processStopped), event(105, "d", .waiting),
            event(300, "d", .granted(token: 4)), event(310, "c", .processContinued),
            event(320, "c", .ended(cause: .lost("x"), validUntil: 200)), event(330, "d", released(330)),
            event(400, "c", .waiting), event(500, "c", .granted(token: 5)), event(501, "c", released(501)),
        ])
        #expect(verdict.isGood)
        // d came into line after the stop, and the last grant was to nobody who waited at the release.
        #expect(verdict.statistics.handOvers.map(\.cause) == [.released, .died])
        #expect(verdict.statistics.gap(at: 0.5) == .nanoseconds(20))
        #expect(verdict.statistics.gap(at: 0.99) == .nanoseconds(50))
        #expect(verdict.statistics.gap(at: 1, after: .released) == .nanoseconds(20))
        #expect(verdict.statistics.gap(at: 1, after: .lost) == nil)
        #expect(verdict.statistics.processes["b"]?.died == true)
        #expect(verdict.description.contains("after died"))
        #expect(verdict.description.contains("verdict      good"))
    }

    @Test func verdictShowsNamesEscaped() {
        let bad = HistoryChecker().check([
            History.Event(at: 1, process: "a\u{1b}[2J", contender: "c", name: "n\nverdict good", kind: released(1))
        ])
        #expect(!bad.description.contains("\u{1b}"))
        #expect(!bad.description.contains("n\nverdict"))
    }
}

@Suite("Generated histories", .inBackground, .serialized) struct GeneratedHistoryTests {
    private let checker = HistoryChecker(maximumFree: .nanoseconds(Int64(HistoryGenerator.bound)))

    @Test func goodOnesPass() {
        for seed in UInt64(0)..<400 {
            let verdict = checker.check(HistoryGenerator.good(seed: seed))
            #expect(verdict.isGood, "seed \(seed): \(verdict)")
            #expect(verdict.statistics.grants >= 20)
        }
    }

    @Test func orderOfTheFilesDoesNotMatter() {
        for seed in UInt64(0)..<50 {
            var random = SeededGenerator(seed)
            let events = HistoryGenerator.good(seed: seed)
            // One file per process, in any order, as they are collected.
            let files = Dictionary(grouping: events, by: \.process).sorted { $0.key < $1.key }.map(\.value)
            let verdict = checker.check(files.shuffled(using: &random).flatMap { $0 })
            #expect(verdict.isGood, "seed \(seed): \(verdict)")
        }
    }

    @Test(arguments: HistoryMutation.allCases) func mutatedOnesAreFound(_ mutation: HistoryMutation) {
        var tried = 0
        for seed in UInt64(0)..<200 {
            var random = SeededGenerator(seed)
            guard let bad = mutation.apply(to: HistoryGenerator.good(seed: seed), using: &random) else { continue }
            tried += 1
            #expect(!checker.check(bad).isGood, "\(mutation.rawValue), seed \(seed)")
        }
        #expect(tried > 100)
    }
}

import MQLockTesting
import Testing

@testable import MQLock

/// Whether the marks say that a tick has been done.
@Suite(.timeLimit(.minutes(1))) struct TickMarkTests {
    private static let midnight: Int64 = 20_000 * 24 * 3600 * 1000

    private func occurrence(_ tick: Int64, at now: Int64? = nil) throws -> Occurrence {
        try Occurrence(Period(.tick(tick)), at: now ?? tick)
    }

    private func mark(_ tick: Int64, fence: Int) -> DoneMark {
        DoneMark(
            period: Period(.tick(tick)).description, start: tick, began: tick, ended: tick, owner: "web-1",
            fencingToken: FencingToken(rawValue: UInt64(fence))!)
    }

    @Test func ticksAreMarkedByTheirTime() throws {
        #expect(Period(.tick(1_796_007_600_000)).description == "2026-11-30T03:00:00Z")
        #expect(Period(.tick(1_796_007_600_250)).description == "2026-11-30T03:00:00.250Z")
        // The same period as one of the command's with that key.
        let tick: Int64 = 1_796_007_600_000
        let key = try Period("2026-11-30T03:00:00Z")
        let byKey = DoneMark(
            period: key.description, began: tick, ended: tick, owner: "cron", fencingToken: FencingToken(rawValue: 1)!)
        #expect(try occurrence(tick).doneMark(among: [byKey], of: "job") == byKey)
        #expect(try Occurrence(key, at: tick).doneMark(among: [mark(tick, fence: 1)], of: "job") != nil)
        #expect(try occurrence(tick + 1000).doneMark(among: [byKey], of: "job") == nil)
    }

    /// Programs whose clocks are up to a minute apart, with failures: whatever is forgotten, no tick is done twice. None is left
    /// out after which no more than three others have been marked.
    @Test(arguments: [1, 2, 7, 30, 600]) func noTickTwiceWhateverIsForgotten(_ interval: Int64) throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("marks of ticks: seed \(seed)")
        var random = SeededGenerator(seed)
        for _ in 0..<30 {
            // As many marks as are kept, or some more.
            let kept = DoneMark.kept + Int.random(in: 0...3, using: &random)
            let clocks = (0..<4).map { _ in Int64.random(in: 0...60, using: &random) }
            var (marks, done, now): ([DoneMark], Set<Int64>, Int64) = ([], [], 10_000)
            for _ in 0..<300 {
                now += Int64.random(in: 0...max(1, interval / 2), using: &random)
                let time = now + clocks.randomElement(using: &random)!
                let tick = Self.midnight + (time - time % interval) * 1000
                let shown = Array(marks.suffix(kept)).shuffled(using: &random)
                let skipped = try occurrence(tick, at: Self.midnight + time * 1000).doneMark(among: shown, of: "job")
                if done.contains(tick) {
                    if skipped == nil { Issue.record("\(tick) again, seed \(seed)") }
                } else if marks.dropLast(Occurrence.unordered).allSatisfy({ $0.start! < tick }) {
                    if skipped != nil { Issue.record("\(tick) left out, seed \(seed)") }
                }
                // Some fail, and are left to others.
                guard skipped == nil, Int.random(in: 0...2, using: &random) > 0 else { continue }
                done.insert(tick)
                marks.append(mark(tick, fence: marks.count + 1))
            }
            #expect(marks.count > DoneMark.kept)
        }
    }

    /// Up to three early ticks of a clock that was wrong keep nobody from the others.
    @Test(arguments: 1...4) func aFewMarksOfAClockThatWasAhead(_ count: Int) throws {
        let ahead: Int64 = 20 * 3_600_000
        var marks = (0..<count).map { mark(Self.midnight + ahead + Int64($0) * 60_000, fence: $0 + 1) }
        for number in 1...20 {
            let tick = Self.midnight + Int64(number) * 60_000
            let skipped = try occurrence(tick).doneMark(among: marks, of: "job")
            #expect((skipped == nil) == (count <= Occurrence.unordered), "\(number)")
            marks.append(mark(tick, fence: count + number))
        }
    }

    /// The other ones are right, and what this one comes to has been done long ago.
    @Test func aClockThatIsFarBehindDoesNothingAgain() throws {
        let marks = (0..<DoneMark.kept).map { mark(Self.midnight + Int64($0) * 60_000, fence: $0 + 1) }
        for minutes in 1...1000 {
            let tick = Self.midnight - Int64(minutes) * 60_000
            #expect(try occurrence(tick).doneMark(among: marks, of: "job") != nil)
        }
    }

    /// Who is wrong then, a person has to say.
    @Test func marksThatAreMoreThanADayAheadAreRefused() throws {
        let week: Int64 = 7 * 24 * 3_600_000
        let marks = (0..<8).map { mark(Self.midnight + week + Int64($0) * 1000, fence: $0 + 1) }
        let error = #expect(throws: LockError.self) { try occurrence(Self.midnight).doneMark(among: marks, of: "job") }
        #expect(error?.code == .invalidConfiguration)
        // Those that are known to be done are done.
        #expect(try occurrence(Self.midnight + week, at: Self.midnight).doneMark(among: marks, of: "job") == marks[0])
    }
}

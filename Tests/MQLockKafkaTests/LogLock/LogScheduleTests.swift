import Foundation
import MQLock
import Testing

@testable import MQLockKafka

/// The log lock in worlds where records come late, twice or never, processes stop, die and start from snapshots.
@Suite(.inBackground) struct LogScheduleTests {
    private static let count = ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1" ? 10_000 : 200

    @Test func promisesAreKeptInGeneratedSchedules() throws {
        let seed = TestSeed.next()
        var grants = 0
        var snapshots = 0
        var (marks, marksFromSnapshots) = (0, 0)
        for index in 0..<UInt64(Self.count) {
            let own = seed &+ index
            var world = LogWorld(seed: own)
            do {
                try world.run(steps: 120)
            } catch {
                Issue.record("\(error), MQLOCK_SEED=\(own)")
                return
            }
            grants += world.grants
            snapshots += world.snapshotsUsed
            marks += world.marks.seen
            marksFromSnapshots += world.marks.seenFromSnapshots
        }
        // A schedule in which nothing happens shows nothing.
        #expect(grants > 2 * Self.count)
        #expect(snapshots > Self.count / 10)
        #expect(marks > Self.count / 2)
        #expect(marksFromSnapshots > Self.count / 20)
    }
}

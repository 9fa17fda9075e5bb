import Foundation
import MQLock
import MQLockTesting
import Testing

/// The semaphore and the read-write lock in memory. The same checks run on brokers in the adapters' tests.
@Suite(.timeLimit(.minutes(3))) struct SlotsTests {
    @Test(arguments: SlotsSuite<InMemoryLocks>.Check.allCases)
    func theyKeepTheirPromises(_ check: SlotsSuite<InMemoryLocks>.Check) async throws {
        var effort = SlotsSuite<InMemoryLocks>.Effort()
        effort.rounds = 60
        effort.longestWait = .milliseconds(4)
        effort.calm = .milliseconds(4)
        effort.seed = ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        let suite = SlotsSuite(inMemorySubject(patience: .seconds(60)), effort: effort)
        do {
            let leftOut = try await suite.run(check)
            #expect(leftOut == nil, "nothing has to be left out in memory")
        } catch {
            Issue.record("\(check): \(error), MQLOCK_SEED=\(effort.seed)")
        }
    }
}

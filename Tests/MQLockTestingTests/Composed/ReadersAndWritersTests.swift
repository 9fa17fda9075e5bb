import Foundation
import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(5))) struct ReadersAndWritersTests {
    @Test func nobodyIsBesideAWriterAndNobodyStarves() async throws {
        // Long: a machine that has other things to do must not end sessions.
        let broker = InMemoryBroker(sessionTimeout: .seconds(120))
        var load = ReadersAndWriters()
        load.duration = ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1" ? .seconds(30) : .seconds(3)
        let report = try await load.run("load", on: (0..<4).map { _ in InMemoryLocks(broker) })
        print("in memory: \(report)")
        #expect(report.violations.isEmpty, "\(report.violations.prefix(3))")
        // Everybody was there before: all others once, and as many again for those who were past the turnstile.
        let contenders = load.readers + load.writers
        for side in [report.reading, report.writing] {
            #expect(side.count > 0)
            #expect(side.mostAdmitted <= 2 * contenders, "\(report)")
        }
    }
}

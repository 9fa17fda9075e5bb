import Foundation
import MQLock
import MQLockRabbitMQ
import MQLockTesting
import Testing

extension TortureTests {
    /// Eight processes with clocks up to five seconds apart have a job that is to be done once in each hour.
    @Suite(.enabled(if: FakeClock.library != nil, "needs the package libfaketime: brokers/install"))
    struct OnceTortureTests {}
}

extension TortureTests.OnceTortureTests {
    /// One process, killed and started again, and its clock.
    private final class Replica {
        let clock: FakeClock
        private let start: () throws -> WorkerProcess
        private(set) var worker: WorkerProcess

        init(_ node: PrivateNode, _ name: LockName, _ mutex: MutexUnderTest, journal: URL) throws {
            let clock = try FakeClock()
            let environment = clock.environment.merging(["ONCE_JOURNAL": journal.path]) { $1 }
            start = {
                try WorkerProcess(
                    "once", "\(node.broker.uri)?heartbeat=5", name, "\(mutex)", environment: environment)
            }
            self.clock = clock
            worker = try start()
        }

        /// - Returns: what became of it, in one of our lives.
        func run(_ number: Int, _ plan: String) async throws -> (outcome: String, words: [String]) {
            var plan = plan
            while true {
                let before = worker.lines.count
                worker.tell("do \(number) \(plan)")
                if let words = try await worker.lineOrEnd("over", after: before) { return (words[2], words) }
                worker = try start()
                plan = "nothing"
            }
        }
    }

    private struct Run: Sendable, CustomTestStringConvertible {
        var mutex: MutexUnderTest
        var withFaults: Bool
        var hours = 50

        var testDescription: String { "\(mutex), \(hours) hours, \(withFaults ? "with" : "without") faults" }

        /// All mutexes in a full run.
        static let all =
            MutexUnderTest.allCases.prefix(LiveBroker.isFullRun ? .max : 1).flatMap { mutex in
                [
                    Run(mutex: mutex, withFaults: true),
                    Run(mutex: mutex, withFaults: false, hours: LiveBroker.isFullRun ? 50 : 10),
                ]
            }
    }

    @Test(arguments: Run.all)
    private func eachHourIsDoneOnce(_ run: Run) async throws {
        let (mutex, withFaults, hours) = (run.mutex, run.withFaults, run.hours)
        let node = try await PrivateNode.shared()
        let seed = TestSeed.next()
        print("once, \(mutex): MQLOCK_SEED=\(seed)")
        var generator = SeededGenerator(seed)
        let journal = FileManager.default.temporaryDirectory.appendingPathComponent(
            "mqlock-once-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: journal) }
        try Data().write(to: journal)
        try await node.broker.withName("once") { name in
            let replicas = try (0..<8).map { _ in try Replica(node, name, mutex, journal: journal) }
            let observer = try node.broker.locks(mutex: .singleActiveConsumer)
            let first = Int64(Date().timeIntervalSince1970) / 3600 + 1
            var kills = 0
            for number in 0...hours {
                let start = (first + Int64(number)) * 3600
                for (index, replica) in replicas.enumerated() {
                    // The first hour is begun by all; later there is always somebody in the new one.
                    let ahead = number == 0 || index == number % 8 ? 1 : Int64.random(in: -3...2, using: &generator)
                    try replica.clock.set(offset: Int(start + ahead - Int64(Date().timeIntervalSince1970)))
                }
                let plans = replicas.map { _ in
                    withFaults && Int.random(in: 0..<4, using: &generator) == 0
                        ? ["start", "end"].randomElement(using: &generator)! : "nothing"
                }
                let isRestart = withFaults && number % 20 == 10
                let pause = Int64.random(in: 0...20, using: &generator)
                let outcomes = try await withThrowingTaskGroup(of: (String, [String]).self) { group in
                    for (index, replica) in replicas.enumerated() {
                        let plan = plans[index]
                        nonisolated(unsafe) let replica = replica
                        group.addTask { try await replica.run(number, plan) }
                    }
                    if isRestart {
                        try await Task.sleep(for: .milliseconds(pause))
                        try await node.crash()
                        try await node.start()
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let seen = try OnceJournal(journal, number)
                let marks = try await observer.marks(of: name).filter { $0.start == start * 1000 }
                let note: Comment = "hour \(number), restart \(isRestart), plans \(plans): \(outcomes.map(\.1))"
                #expect(!seen.isOverlapping, note)
                #expect(seen.ends >= 1, note)
                #expect(isRestart ? marks.count >= 1 : marks.count == 1, note)
                #expect(marks.allSatisfy { $0.outcome == .completed }, note)
                kills += seen.starts - seen.ends
                if !withFaults {
                    #expect(seen.starts == 1 && seen.ends == 1, note)
                    #expect(outcomes.count { $0.0 == "done" } == 1, note)
                    #expect(outcomes.count { $0.0 == "skipped" } == 7, note)
                }
            }
            if withFaults { #expect(kills > 0, "else nothing was tested") }
            await observer.shutdown()
        }
    }
}

import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Eight processes with clocks up to five seconds apart have a job that is to be done once in each hour.
    @Suite(
        .enabled(
            if: ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1",
            "full: 50 hours of eight processes take minutes; set MQLOCK_TEST_FULL=1"))
    struct LogOnceTortureTests {}
}

extension LiveKafkaTests.LogOnceTortureTests {
    /// One program, killed and started again.
    private actor Replica {
        private let start: @Sendable () throws -> LogProcess
        private var worker: LogProcess

        init(_ start: @escaping @Sendable () throws -> LogProcess) throws {
            self.start = start
            worker = try start()
        }

        /// - Returns: what became of it, in one of our lives.
        func run(_ number: Int, at time: Int64, _ plan: String) async throws -> String {
            worker.say("do \(number) job hour \(time) \(plan)")
            if let outcome = try await worker.lineOrEnd("over \(number)") { return outcome }
            worker = try start()
            worker.say("do \(number) job hour \(time) nothing")
            return try await worker.line("over \(number)")
        }
    }

    @Test(arguments: [true, false]) func eachHourIsDoneOnce(_ withFaults: Bool) async throws {
        let place = try await LogPlace.make(breakable: true)
        let seed = TestSeed.next()
        print("once on a log: MQLOCK_SEED=\(seed)")
        var random = SeededGenerator(seed)
        let journal = FileManager.default.temporaryDirectory.appending(path: "\(place.topic).once")
        defer { try? FileManager.default.removeItem(at: journal) }
        try Data().write(to: journal)
        let replicas = try (0..<8).map { _ in
            try Replica { try place.onceProcess(journal: journal.path, ttl: 1000) }
        }
        let first = WallClock.now / 3_600_000 + 1
        var kills = 0
        for number in 0...50 {
            let start = (first + Int64(number)) * 3_600_000
            let times = replicas.indices.map { index in
                // The first hour is begun by all; later there is always somebody in the new one.
                let isAhead = number == 0 || index == number % 8
                return start + (isAhead ? 1000 : Int64.random(in: -3000...2000, using: &random))
            }
            let plans = replicas.map { _ in
                withFaults && Int.random(in: 0..<4, using: &random) == 0
                    ? ["start", "end"].randomElement(using: &random)! : "nothing"
            }
            let isOutage = withFaults && number % 20 == 10
            let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
                for (index, replica) in replicas.enumerated() {
                    group.addTask { [time = times[index], plan = plans[index]] in
                        try await replica.run(number, at: time, plan)
                    }
                }
                if isOutage {
                    try await offPool {
                        try place.broker.fault("broker", "all", "down")
                        usleep(500_000)
                        try place.broker.fault("broker", "all", "up")
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let seen = try OnceJournal(journal, number)
            let marks = try await place.inspector.marks(of: "job").filter { $0.start == start }
            let note: Comment = "hour \(number), outage \(isOutage), plans \(plans): \(outcomes), MQLOCK_SEED=\(seed)"
            #expect(!seen.isOverlapping, note)
            #expect(seen.ends >= 1, note)
            #expect(isOutage ? marks.count >= 1 : marks.count == 1, note)
            kills += seen.starts - seen.ends
            if !withFaults {
                #expect(seen.starts == 1 && seen.ends == 1, note)
                #expect(outcomes.count { $0.hasPrefix("done") } == 1, note)
                #expect(outcomes.count { $0.hasPrefix("skipped") } == 7, note)
            }
        }
        if withFaults { #expect(kills > 0, "else nothing was tested") }
    }
}

import ExamplesShared
import Foundation
import MQLock
import MQLockRabbitMQ

@main
struct NightlyReport {
    static func main() async {
        await Program.run {
            let options = try Options(
                flags: ["stand-still"], known: ["broker", "name", "reports", "work", "night", "at", "within"])
            let locks = try RabbitMQLocks(.init(uri: options.broker))
            let replica = Replica(
                name: options.text("name", default: "replica-\(ProcessInfo.processInfo.processIdentifier)"),
                locks: locks,
                reports: try Reports(directory: options.text("reports", default: "reports")),
                work: .seconds(try options.number("work", default: 1.0)), standsStill: options.has("stand-still"))
            let limit = Duration.seconds(try options.number("within", default: 3600.0))

            try await withThrowingTaskGroup { group in
                group.addTask { try await locks.run() }
                group.addTask {
                    if options.has("at") {
                        try await serve(replica, at: options.text("at", default: ""), within: limit)
                    } else {
                        let night = options.text("night", default: Schedule.night(of: .now))
                        try await replica.run(night: night, within: limit)
                    }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    /// As a service: every night, until the process is asked to end. A failed night is reported, and the next one runs
    /// all the same.
    private static func serve(_ replica: Replica, at time: String, within limit: Duration) async throws {
        guard let schedule = Schedule(time) else { throw ExampleError("--at takes a time in UTC, as in 02:30") }
        while true {
            let due = schedule.next(after: .now)
            // In steps: within a minute it notices that a clock was set, or that the machine slept.
            while due > .now { try await Task.sleep(for: .seconds(min(60, due.timeIntervalSinceNow))) }
            do {
                try await replica.run(night: Schedule.night(of: due), within: limit)
            } catch let error as LockError where error.code != .cancelled {
                Program.say("\(replica.name): no report: \(error)")
            }
        }
    }
}

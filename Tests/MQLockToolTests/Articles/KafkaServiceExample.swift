import MQLock
import MQLockKafka

/// Goes on until its task is cancelled. Start it in as many processes as you like: one of them writes each night's report.
func serveReports(kafka brokers: [String], topic: String) async throws {
    let locks = try KafkaLocks(.init(connection: .init(brokers: brokers), topic: topic))
    try await locks.verify()  // fails now when there is no topic or a permission is missing
    try await withThrowingDiscardingTaskGroup { group in
        group.addTask { try await locks.run() }
        group.addTask {
            let nights = try Schedule.cron("0 3 * * *", in: "Europe/Berlin")
            try await locks.schedule("nightly-report", nights) { tick in
                let report = try await makeReport()  // cancelled when the lock is lost
                try await store(report, fence: tick.lease.fencingToken)
            }
        }
    }
}

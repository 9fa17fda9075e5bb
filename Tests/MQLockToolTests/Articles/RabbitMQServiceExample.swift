import MQLock
import MQLockRabbitMQ

/// Goes on until its task is cancelled. Start it in as many processes as you like: one of them writes each night's report.
func serveReports(rabbitMQ uri: String) async throws {
    let locks = try RabbitMQLocks(.init(uri: uri))
    try await locks.verify()  // fails now when the password is wrong or a permission is missing
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

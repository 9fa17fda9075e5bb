import MQLock
import MQLockRabbitMQ

func nightlyReport() async throws {
    let locks = try RabbitMQLocks(.init(uri: "amqp://user:password@broker/vhost"))
    let result = try await locks.once("nightly-report", for: .day) { lease in  // one replica runs it, others skip it
        let report = try await makeReport()  // cancelled when the lock is lost
        try lease.check(atLeast: .seconds(1))  // before anything that cannot be undone
        try await store(report, fence: lease.fencingToken)
    }
    if let mark = result.mark { print("skipped: \(mark)") }
    await locks.shutdown()  // a service runs `locks.run()` in its task group instead
}

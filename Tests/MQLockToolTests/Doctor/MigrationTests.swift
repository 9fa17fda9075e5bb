import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ
@testable import MQLockTool

/// What is left of a lock from a broker of another major version: after an upgrade from 3.13 to 4.0, or on the way back.
enum Leftover: String, CaseIterable {
    case sac, token, exclusive
    /// Of a job that is done once in a period.
    case marks

    var options: [String] { self == .marks ? ["--once", "day"] : ["--mutex", rawValue] }

    /// Makes its queues.
    func leave(_ name: LockName, on broker: String, vhost: String) throws {
        let objects = try ObjectNames(name, vhost: vhost)
        try RawClient.run(broker) { raw in
            let isNewer = raw.version >= BrokerVersion(4, 0, 0)
            let other = BrokerBehavior(isNewer ? BrokerVersion(3, 13, 0) : BrokerVersion(4, 0, 0))
            switch self {
            case .sac: try raw.declare(objects.queue, arguments: QueueArguments.line(other).pairs)
            case .token:
                try raw.declare(objects.register, arguments: QueueArguments.register(Nonce()).pairs)
                try raw.declare(objects.queue, arguments: QueueArguments.token(other).pairs)
            case .exclusive: try raw.declare(objects.line, arguments: QueueArguments.line(other).pairs)
            case .marks: try raw.declare(objects.done, arguments: QueueArguments.done(other).pairs)
            }
        }
    }

    /// In a virtual host of its own, whose name a shell does not take as it is.
    /// - Parameter body: takes the broker's URI there, and its name.
    static func withVirtualHost(_ body: (String, String) async throws -> Void) async throws {
        let vhost = "it's \(UUID().uuidString)"
        try await Management.ctl("add_vhost", vhost)
        try await Management.ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        do {
            try await body(Broker.changed { $0.path = "/\(vhost)" }, vhost)
        } catch {
            try await Management.ctl("delete_vhost", vhost)
            throw error
        }
        try await Management.ctl("delete_vhost", vhost)
    }

    /// Does what a text says between the first two backticks.
    static func follow(_ text: String) async throws {
        let parts = text.split(separator: "`", omittingEmptySubsequences: false)
        try #require(parts.count > 2, "\(text)")
        let command = parts[1].replacing("rabbitmqctl", with: "'\(try required(Broker.control))' -q")
        let result = await (try TestProcess("/bin/sh", ["/bin/sh", "-c", String(command)])).result()
        #expect(result.status == 0, "\(command): \(result.output)\(result.errors)")
    }
}

@Suite(
    "locks from before an upgrade of RabbitMQ", .timeLimit(.minutes(2)),
    .enabled(if: Broker.control != nil, Broker.reason))
struct MigrationTests {
    private let name: LockName = "job of 'today' $HOME"

    @Test("the refusal names the way, the way works, and tokens grow", arguments: Leftover.allCases)
    func refused(_ leftover: Leftover) async throws {
        try await Leftover.withVirtualHost { broker, vhost in
            try leftover.leave(name, on: broker, vhost: vhost)
            // No smaller than what anybody was granted there.
            let before = try TokenNumber.seed(above: nil)
            func run() async throws -> TestProcess.Result {
                try await TestProcess.run(
                    ["run", name.string, "--broker", broker, "-w", "20s"] + leftover.options
                        + ["--", "sh", "-c", "echo $MQLOCK_FENCE"])
            }
            let refusal = try await run()
            #expect(refusal.status == 78 && refusal.output.isEmpty, "\(refusal)")
            try await Leftover.follow(refusal.errors)
            let result = try await run()
            #expect(result.status == 0, "\(result.errors)")
            let fence = UInt64(result.output.trimmingCharacters(in: .whitespacesAndNewlines))
            #expect(try required(fence) > before)
        }
    }

    @Test("what the doctor makes of the list of queues")
    func judged() throws {
        typealias Queue = UnusedLocks.Queue
        func judge(_ queues: [Queue], _ limit: Int64?) throws -> Finding {
            try RabbitMQDoctor.judge(queues, deliveryLimit: limit, vhost: "/")
        }
        let line = Queue(name: "mqlock.v1/a", isSingleActiveConsumer: true, isQuorum: true)
        let token = Queue(name: "mqlock.v1/b", isQuorum: true)
        let others = [
            Queue(name: "orders", isQuorum: true), Queue(name: "mqlock.v1.seeded/b", isQuorum: true),
            // A lock that is held.
            Queue(name: "mqlock.v1/c"),
        ]
        for queue in [line, token] {
            var limited = queue
            limited.deliveryLimit = -1
            #expect(try judge([limited] + others, -1).level == .good)
            #expect(try judge([queue] + others, nil).level == .good)
            for (stale, limit) in [(queue, Int64(-1)), (limited, nil)] {
                let finding = try judge([stale] + others, limit)
                #expect(finding.level == .wrong && finding.status == 78)
                #expect(finding.text.contains("'\(queue.name)'"))
                #expect(finding.text.contains("'mqlock.v1.seeded/b'") == (queue == token))
                #expect(!finding.text.contains("orders") && !finding.text.contains("mqlock.v1/c"))
            }
        }
    }
}

// With the other tests of the management API, which come one after the other.
extension InspectionCommandTests {
    @Test(
        "doctor finds locks from before an upgrade of RabbitMQ, and the way",
        .enabled(if: Management.isThere, Management.reason))
    func otherMajorVersion() async throws {
        let url = try await Management.url()
        try await Leftover.withVirtualHost { broker, vhost in
            for leftover in Leftover.allCases {
                try leftover.leave(LockName(leftover.rawValue), on: broker, vhost: vhost)
            }
            let result = try await TestProcess.run(["doctor", "--management", url, "--broker", broker])
            let wrong = result.output.split(separator: "\n").filter { $0.hasPrefix("WRONG") }
            #expect(result.status == 78 && wrong.count == 1, "\(result.output)")
            try await Leftover.follow(String(try required(wrong.first)))
            let version = try BrokerAdministration(uri: broker).version
            // The API's list is some seconds old.
            _ = try await eventually("nothing to be left") {
                let found = Locked<[Finding]>([])
                let doctor = RabbitMQDoctor(uri: broker, management: url, patience: .seconds(10)) { finding in
                    found.withLock { $0.append(finding) }
                }
                await doctor.lookForOtherMajorVersion(version)
                return found.withLock { $0.map(\.level) == [.good] } ? true : nil
            }
        }
    }
}

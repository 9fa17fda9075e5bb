import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Somebody who may publish to any queue by its name, as most services may, and to no exchange of ours.
    @Suite(.enabled(if: LiveBroker.shared?.control != nil, "needs rabbitmqctl: brokers/with --rabbitmq -- swift test"))
    struct DefaultExchangeTests {}
}

extension LiveBrokerTests.DefaultExchangeTests {
    /// Every kind of message, to every queue that there is of a lock that is held and waited for: with the headers by which
    /// the broker counts returns, and as an answer to be answered.
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func nothingIsBelieved(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, vhost, user in
            let other = "other-\(user)"
            try await broker.ctl("-q", "add_user", other, "s3cret")
            try await broker.ctl("-q", "set_permissions", "-p", vhost, other, "^$", #"^amq\.default$"#, "^$")
            let forger = uri.replacing("//\(user):", with: "//\(other):")
            func locks() throws -> RabbitMQLocks {
                try broker.locks(mutex: mutex) { $0.uri = "\(uri)?heartbeat=2" }
            }
            let (mine, theirs) = (try locks(), try locks())
            let name: LockName = "forged"
            let held = try await mine.acquire(name, within: .seconds(20))
            let token = held.lease.fencingToken
            let waiter = Contender(theirs, name)
            let inspector = try RabbitMQInspector(RabbitMQLocks.Configuration(uri: uri))
            func isSeen() async throws -> Bool {
                let view = try await inspector.view(name, within: .seconds(5))
                return view.holders.map(\.fencingToken) == [token] && view.waiters.count == 1
            }
            try await eventually("both in the view") { try await isSeen() }
            let observer = Task { try await inspector.changes(of: name).contains { $0.contender.owner == "liar" } }
            var queues: [String] = []
            try await eventually("the observer's queue") {
                queues = try await broker.ctl("-q", "list_queues", "-p", vhost, "name", "--no-table-headers")
                    .split(separator: "\n").map(String.init)
                return queues.contains { $0.hasPrefix("mqlock.v1.reply/") }
            }
            #expect(
                queues.contains { $0.hasPrefix("mqlock.v1.control/") } && queues.contains { $0.hasSuffix("/forged") })
            for queue in queues { try Self.forge(as: forger, to: queue, after: token, for: name, answersTo: queues) }
            // They are all there before these questions.
            for _ in 0..<3 { #expect(try await isSeen()) }
            #expect(held.lease.isValid && waiter.outcome.current == nil)
            observer.cancel()
            #expect(try await observer.value == false)
            try await held.release()
            #expect(try await waiter.lease().fencingToken.rawValue < token.rawValue + 1 << 40)
            #expect(try await waiter.release() == nil)
            try await mine.acquire(name, within: .seconds(20)).release()
            await mine.shutdown()
            await theirs.shutdown()
            try await broker.ctl("-q", "delete_user", other)
        }
    }

    private static func forge(
        as uri: String, to queue: String, after token: FencingToken, for name: LockName, answersTo queues: [String]
    ) throws {
        let (far, session) = (token.rawValue + 1 << 50, Nonce().description)
        let liar = LockContender(
            role: .holder, session: session, owner: "liar", host: "nowhere", process: 1, mutex: "sac",
            duration: .seconds(1), since: 1_795_000_000_000, fencingToken: FencingToken(rawValue: far),
            connection: "mqlock liar locks \(session)")
        var bodies = [
            TokenMessage(number: far, nonce: Nonce()).payload, LineMessage.token(far, Nonce()).payload,
            LineMessage.token(far, Nonce(), after: token.rawValue + 32).payload, LineMessage.companion(Nonce()).payload,
        ]
        let requests: [ControlRequest] = [.yield(token), .who, .watch(seconds: 60), .hello, .list(after: nil)]
        bodies += requests.map { $0.text(session).payload }
        let answers: [ControlAnswer] = [
            .here(liar), .yielding(liar), .listed(name, liar), .changed(LockChange(.granted, liar)),
            .refused(session: session, reason: "no"),
        ]
        bodies += answers.map { $0.text(session).payload }
        let replyTo = queues.first { $0.hasPrefix("mqlock.v1.reply/") }
        try RawClient.run(uri) { client in
            for body in bodies {
                for isDressedUp in [false, true] {
                    var properties = ControlNames.properties(user: nil)
                    if isDressedUp {
                        properties.headers = ["x-delivery-count": 1000, "x-acquired-count": 1000]
                        properties.userID = try AMQPURI.parse(uri).user
                        properties.replyTo = replyTo
                    }
                    try client.publish(body, to: queue, properties: properties)
                }
            }
        }
    }
}

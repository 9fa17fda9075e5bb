import Foundation
import MQLock

@testable import MQLockRabbitMQ
@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Somebody who may use the exchange for questions about locks, and answers what it likes about one name.
final class Forger: Sendable {
    typealias Lie = @Sendable (ControlRequest) -> [ControlAnswer]

    static let user = "mqlock-forger"
    private let isOver = Locked(false)

    /// Makes the user, who may do what every user of locks may.
    static func withUser(_ body: (String) async throws -> Void) async throws {
        try await Management.ctl("add_user", user, "secret")
        try await Management.ctl("set_permissions", user, ".*", ".*", ".*")
        do {
            try await body(Broker.changed { ($0.user, $0.password) = (user, "secret") })
        } catch {
            try await Management.ctl("delete_user", user)
            throw error
        }
        try await Management.ctl("delete_user", user)
    }

    /// Returns when it hears questions about the name.
    init(_ uri: String, _ name: LockName, _ lie: @escaping Lie) async throws {
        let isListening = try await withCheckedThrowingContinuation { (started: CheckedContinuation<Bool, any Error>) in
            Thread.detachNewThread { [isOver] in
                do {
                    try Self.run(uri, name, isOver, lie) { started.resume(returning: true) }
                } catch {
                    // Said too late, it shows in what the test waits for.
                    if isOver.withLock({ !$0 }) { print("the forger: \(error)") }
                }
            }
        }
        guard isListening else { throw TestFailure("the forger does not listen") }
    }

    func stop() { isOver.withLock { $0 = true } }

    private static func run(
        _ uri: String, _ name: LockName, _ isOver: Locked<Bool>, _ lie: Lie, _ started: () -> Void
    ) throws {
        let connection = try AMQPConnection.open(AMQPURI.parse(uri))
        defer { connection.close() }
        let (queue, user) = ("forger-\(Nonce())", try AMQPURI.parse(uri).user)
        try connection.channelOpen(1)
        try connection.exchangeDeclare(1, ControlNames.exchange, type: "direct", durable: true)
        try connection.queueDeclare(1, queue, exclusive: true)
        try connection.queueBind(1, queue, exchange: ControlNames.exchange, routingKey: ControlNames.key(name))
        try connection.basicConsume(1, queue, noAck: true)
        while isOver.withLock({ !$0 }) {
            var asked: [Delivery] = []
            try connection.readAvailable { inbound in
                switch inbound {
                case .consumeOK: started()
                case .delivery(_, let delivery): asked.append(delivery)
                default: break
                }
            }
            for question in asked.compactMap({ ControlQuestion($0) }) {
                for answer in lie(question.request) {
                    try connection.basicPublish(
                        1, exchange: ControlNames.exchange, routingKey: question.replyTo ?? "",
                        properties: ControlNames.properties(user: user), body: answer.text(question.question).payload)
                }
            }
            if !connection.hasBufferedInput {
                var descriptor = pollfd(fd: connection.socketDescriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&descriptor, 1, 50)
            }
        }
    }

    /// A contender that is none.
    static func contender(
        _ role: LockContender.Role, session: String = Nonce().description, token: FencingToken? = nil
    ) -> LockContender {
        LockContender(
            role: role, session: session, owner: "liar", host: "nowhere", process: 1, mutex: "sac",
            duration: .seconds(1), since: 1_795_000_000_000, fencingToken: token,
            connection: "mqlock liar locks \(session)")
    }
}

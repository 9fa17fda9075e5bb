import Foundation
import MQLock

@testable import MQLockRabbitMQ

/// What an operator sees and does with rabbitmqctl, and where the broker is.
extension LiveBroker {
    private var endpoint: Endpoint { (try? AMQPURI.parse(uri)) ?? Endpoint() }

    var port: UInt16 { UInt16(clamping: endpoint.port) }

    /// The same broker through a proxy.
    func behind(_ proxy: FaultyProxy) -> LiveBroker { replacing(":\(port)", with: ":\(proxy.port)") }

    func replacing(_ part: String, with other: String) -> LiveBroker {
        LiveBroker(uri: uri.replacingOccurrences(of: part, with: other), control: control)
    }

    /// The queues that belong to a lock.
    func queues(of name: LockName) async throws -> [String] {
        try await ctl("-q", "list_queues", "-p", endpoint.vhost, "name").split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix("mqlock.v1") && $0.hasSuffix("/\(name)") }
    }

    /// Nothing is wrong when it is gone already.
    func deleteQueue(_ queue: String) async throws {
        do { try await ctl("delete_queue", "-p", endpoint.vhost, queue) } catch {
            // In the words of 3.10 and of 4.3.
            guard ["not found", "No such queue"].contains(where: "\(error)".contains) else { throw error }
        }
    }

    /// All in whose names this text is, in one go.
    func deleteQueues(with text: String) async throws {
        try await ctl(
            "eval",
            """
            [rabbit_amqqueue:delete(Queue, false, false, <<"operator">>) || Queue <- rabbit_amqqueue:list(),
                binary:match(element(4, amqqueue:get_name(Queue)), <<"\(text)">>) =/= nomatch].
            """)
    }

    /// Where contenders stand: in the queue of the name, or in a line of its own.
    struct Lines {
        fileprivate let queues: [Substring]

        func count(for name: LockName) -> Int {
            queues.count { $0 == "mqlock.v1/\(name)" || $0 == "mqlock.v1.line/\(name)" }
        }
    }

    func lines() async throws -> Lines {
        Lines(queues: try await ConsumerList.shared.queues(of: self, vhost: endpoint.vhost))
    }
}

extension LiveBroker {
    /// The same broker, for a user of the test's own who may do everything; the test deletes it.
    func asNewUser() async throws -> (broker: LiveBroker, user: String) {
        let user = "mqlock-\(UInt32.random(in: 0 ... .max))"
        try await ctl("add_user", user, "secret")
        try await ctl("set_permissions", user, ".*", ".*", ".*")
        return (replacing("guest:guest", with: "\(user):secret"), user)
    }
}

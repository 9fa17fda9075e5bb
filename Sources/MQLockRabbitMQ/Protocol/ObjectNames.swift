package import MQLock

/// The names on the broker of everything that belongs to one lock name (protocol `mqlock.v1`).
///
/// The queue of the name is the same whatever the mutex, so two programs with different kinds meet on it and the second
/// is refused. Control characters and `%` are percent-encoded: RabbitMQ strips CR and LF from queue names, and two lock
/// names that differ only in these would become one.
struct ObjectNames: Sendable, Equatable {
    /// The exchange for all messages that count: direct, durable. A queue is bound to it with its own name as the key.
    /// The broker's permissions on it decide who may lock.
    static let exchange = "mqlock.v1"

    /// The queue that is the lock.
    let queue: String
    /// The write-once register; it names the valid token's nonce.
    let register: String
    /// The exclusive queue that lets one contender at a time mend a lock whose token is gone.
    let mend: String
    /// The line of contenders for an exclusive queue.
    let line: String
    /// Records what has been done under the lock, whatever the mutex.
    let done: String

    /// Every queue that may exist for the name, whatever the mutex.
    var all: [String] { [queue, register, mend, line, done] }

    /// The longest queue name in bytes (AMQP's short string).
    static let maximumLength = 255

    init(_ name: LockName, vhost: String) throws(LockError) {
        let encoded = Self.encode(name)
        queue = "\(Self.exchange)/\(encoded)"
        register = "\(Self.exchange).seeded/\(encoded)"
        mend = "\(Self.exchange).mend/\(encoded)"
        line = "\(Self.exchange).line/\(encoded)"
        done = "\(Self.exchange).done/\(encoded)"
        // A quorum queue is a Raft cluster; its id consists of virtual host and queue name, so both count.
        let room = Self.maximumLength - vhost.utf8.count - 1
        let longest = max(queue.utf8.count, register.utf8.count)
        guard longest <= room else {
            throw LockError(
                .invalidName,
                """
                the lock name \(name) needs a queue name of \(longest) bytes and this virtual host leaves \(room); \
                shorten the name or lock a hash of it
                """)
        }
    }

    /// The name as encoded in queue names and routing keys.
    static func encode(_ name: LockName) -> String { name.string.percentEncoded }
}

/// The objects of a lock on the broker, for the broker's other interfaces.
package struct LockObjects: Sendable {
    /// The queue that is the lock.
    package let queue: String
    /// The register of a `token` lock.
    package let register: String

    package init(_ name: LockName, vhost: String) throws(LockError) {
        let objects = try ObjectNames(name, vhost: vhost)
        (queue, register) = (objects.queue, objects.register)
    }

    /// The role of a queue in its lock.
    package enum Kind: Sendable, CaseIterable {
        case lock, line, register, done

        var prefix: String {
            switch self {
            case .lock: "\(ObjectNames.exchange)/"
            case .line: "\(ObjectNames.exchange).line/"
            case .register: "\(ObjectNames.exchange).seeded/"
            case .done: "\(ObjectNames.exchange).done/"
            }
        }
    }

    /// The lock that a queue belongs to, and its role; nil when the queue is foreign.
    package static func part(_ queue: String) -> (name: LockName, kind: Kind)? {
        for kind in Kind.allCases where queue.hasPrefix(kind.prefix) {
            guard let text = String(percentEncoded: queue.dropFirst(kind.prefix.count)), let name = try? LockName(text)
            else { return nil }
            return (name, kind)
        }
        return nil
    }

    /// The lock whose queue or line this is; nil when the queue is foreign.
    package static func name(ofQueue queue: String) -> LockName? {
        guard let (name, kind) = part(queue), kind == .lock || kind == .line else { return nil }
        return name
    }
    /// A shell command for the broker that deletes queues. A queue that is already gone does not keep the others from
    /// being deleted.
    package static func deletion(of queues: [String], vhost: String) -> String {
        queues.map { "rabbitmqctl delete_queue -p \(vhost.quotedForShell) \($0.quotedForShell)" }
            .joined(separator: "; ").escapedForDisplay
    }
}

extension String {
    /// The text quoted as one shell word.
    fileprivate var quotedForShell: String { "'\(replacing("'", with: #"'\''"#))'" }
}

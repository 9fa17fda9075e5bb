/// What is locked.
///
/// A name is 1 to 200 bytes of UTF-8 and is compared byte by byte: two spellings of `é` that Swift's `String` calls
/// equal are two different names here, because every broker and every other language would call them different.
/// One RabbitMQ virtual host, or one Kafka topic, is one namespace of names.
public struct LockName: Hashable, Sendable {
    /// The name's UTF-8 bytes, which decide whether two names are equal.
    public let utf8: [UInt8]

    /// The longest name in bytes.
    package static let maximumLength = 200

    /// Checks and wraps a name.
    ///
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName`` when it is empty or longer than 200 bytes.
    public init(_ string: some StringProtocol) throws(LockError) {
        let utf8 = Array(string.utf8)
        guard !utf8.isEmpty else {
            throw LockError(
                .invalidName, "a lock name cannot be empty; give it 1 to \(Self.maximumLength) bytes of UTF-8")
        }
        guard utf8.count <= Self.maximumLength else {
            throw LockError(
                .invalidName,
                """
                a lock name of \(utf8.count) bytes is too long, the limit is \(Self.maximumLength) bytes of UTF-8; \
                shorten it or lock a hash of it: \(String(string.prefix(40)).escapedForDisplay)…
                """)
        }
        self.utf8 = utf8
    }

    /// All bytes at once: one by one they cost more than a local grant.
    public func hash(into hasher: inout Hasher) { utf8.withUnsafeBytes { hasher.combine(bytes: $0) } }

    /// The name as a string.
    public var string: String { String(decoding: utf8, as: UTF8.self) }
}

extension LockName: ExpressibleByStringLiteral {
    /// A name from a literal in the source; a bad one is a programming error and traps.
    public init(stringLiteral value: StaticString) {
        do throws(LockError) {
            try self.init(value.description)
        } catch {
            preconditionFailure(error.message)
        }
    }
}

extension LockName: CustomStringConvertible {
    /// The name with control and bidirectional characters escaped, for display.
    public var description: String { string.escapedForDisplay }
}

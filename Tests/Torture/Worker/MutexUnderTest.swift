import MQLockRabbitMQ

/// A mutex with its settings, as the fault suite goes over them. One more line makes one more.
struct MutexUnderTest: Sendable, CaseIterable, CustomStringConvertible {
    /// What the table of faults calls it.
    let description: String
    /// How soon after the end of a holder's process a waiter in another has to be served, on an idle machine.
    let handOverAfterKill: Duration
    let configure: @Sendable (inout RabbitMQLocks.Configuration) -> Void

    init(
        _ description: String, handOverAfterKill: Duration = .milliseconds(100),
        _ configure: @escaping @Sendable (inout RabbitMQLocks.Configuration) -> Void
    ) {
        self.description = description
        self.handOverAfterKill = handOverAfterKill
        self.configure = configure
    }

    static let allCases = [
        Self("sac") { $0.mutex = .singleActiveConsumer },
        Self("token") { $0.mutex = .token },
        Self("exclusive") { $0.mutex = .exclusiveQueue },
    ]

    static func named(_ name: String) -> MutexUnderTest? { allCases.first { $0.description == name } }
}

import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Which users a provider answers and obeys, and what it says about itself.
struct SeeingSettings: Sendable {
    let answersQuestions: Bool
    /// Users whose requests to yield are obeyed.
    let yieldUsers: Set<String>
    let warning = Once()

    init(_ configuration: RabbitMQLocks.Configuration, ownUser: String?) {
        answersQuestions = configuration.answersQuestions
        yieldUsers = configuration.yieldUsers ?? Set([ownUser].compactMap(\.self))
    }

    static let process = getpid()

    /// The machine's own name, without a network look-up.
    static let host: String = {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "unknown" }
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()
}

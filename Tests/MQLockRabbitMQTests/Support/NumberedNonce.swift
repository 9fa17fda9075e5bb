import MQLock

@testable import MQLockRabbitMQ

extension Nonce {
    /// The same at every run, for worlds that a seed decides.
    static func numbered(_ number: Int) -> Nonce {
        let digits = String(number, radix: 16)
        return Nonce(String(repeating: "0", count: 32 - digits.count) + digits) ?? Nonce()
    }
}

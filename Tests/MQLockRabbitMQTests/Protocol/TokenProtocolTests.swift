import MQLock
import Testing

@testable import MQLockRabbitMQ

@Suite struct ObjectNamesTests {
    @Test func namesThatDifferInControlCharactersStayApart() throws {
        let names = try ["a\rb", "a\nb", "ab", "a%0Db"].map { try ObjectNames(LockName($0), vhost: "/").queue }
        #expect(Set(names).count == names.count)
    }
}

@Suite struct TokenMessageTests {
    @Test func refusesWhatIsFarTooLong() {
        #expect(MessageText(payload: Array(repeating: 0x20, count: 1 << 20)) == nil)
    }

    @Test func noncesAreFreshAndReadBack() {
        let nonces = Set((0..<1000).map { _ in Nonce() })
        #expect(nonces.count == 1000)
        for nonce in nonces { #expect(Nonce(nonce.description) == nonce) }
    }
}

@Suite struct TokenNumberTests {
    private let now: Int64 = 1_767_225_601_000

    @Test(
        arguments: [
            (.max, 0), (1000 << 21, .max), (1000 << 21, -1), (UInt64(Int64.max), 1),
            // A day and a second ahead.
            (86_402_000 << 21, 0),
        ] as [(UInt64, Int64)])
    func numbersOutOfBoundsAreRefused(number: UInt64, count: Int64) {
        #expect(throws: LockError.self) { try TokenNumber.fence(number, returns: count, at: now) }
    }
}

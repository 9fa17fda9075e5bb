import MQLock
import Testing

@testable import MQLockTool

@Suite("The connection of a holder that does not answer")
struct SilentHolderTests {
    private static let sessions = ["a", "b", "c"].map { String(repeating: $0, count: 32) }
    private static let connections =
        sessions.map { ManagementAPI.Connection(name: "\($0.prefix(1)) -> broker", given: "mqlock me locks \($0)") }
        + sessions.map { .init(name: "\($0.prefix(1))2 -> broker", given: "mqlock me publishes \($0)") }
        + [.init(name: "x -> broker", given: nil), .init(name: "y -> broker", given: "locks")]

    private func choose(_ sessions: [Int], active: String? = nil) -> SilentHolder.Finding {
        SilentHolder.choose(Set(sessions.map { Self.sessions[$0] }), Self.connections, active: active)
    }

    @Test("the only silent one is it")
    func only() {
        #expect(choose([1]) == .found(Self.connections[1]))
        #expect(choose([1], active: "b -> broker") == .found(Self.connections[1]))
    }

    @Test("of several it is the one that the broker takes for it; else nobody is guessed")
    func several() {
        #expect(choose([0, 1], active: "b -> broker") == .found(Self.connections[1]))
        for active in [nil, "c -> broker", "x -> broker", "nowhere"] {
            guard case .unknown(let why) = choose([0, 1], active: active) else {
                Issue.record("guessed, with \(active ?? "nothing") active")
                continue
            }
            #expect(why.contains("a -> broker") && why.contains("b -> broker"))
        }
    }

    @Test("one that has not begun to listen is known by the broker only")
    func none() {
        #expect(choose([], active: "c -> broker") == .found(Self.connections[2]))
        guard case .unknown = choose([]), case .unknown = choose([], active: "x -> broker") else {
            Issue.record("guessed")
            return
        }
    }

    @Test("a management URL is checked, and never repeated: it may hold a password")
    func url() throws {
        let credentials = SeeingFixtures.credentials
        for url in ["", "host:15672", "ftp://secret@host", "http://", "http://user:secret@host/?x=1"] {
            let error = #expect(throws: LockError.self) { try ManagementAPI(url, credentials: credentials) }
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.message.contains("secret") == false)
        }
        _ = try ManagementAPI("https://user:secret@host:15671/prefix/", credentials: credentials)
    }
}

/// A value that neither descriptions nor reflection show: a password.
package struct Hidden<Value: Sendable>: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package var value: Value

    package init(_ value: Value) { self.value = value }

    /// Three asterisks, whatever it is.
    package var description: String { "***" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension Hidden: Equatable where Value: Equatable {}

namespace Capsules.Core.Verifying.Traffic;

/// <summary>Says a conversation's requests again, as they were recorded; where a protocol draws lots, others are said in their place. One for each server that is asked.</summary>
public class ReplayVoice
{
    /// <summary>What is said next.</summary>
    /// <param name="turn">What was recorded.</param>
    /// <param name="before">What the server answered to the turn before.</param>
    public virtual ReadOnlyMemory<byte> Next(Turn turn, ReadOnlyMemory<byte> before) => turn.Request;
}

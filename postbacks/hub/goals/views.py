"""The goals of a game: the list with the postbacks that use each, and adding, changing and deleting one."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.configs import game_goals, goal_choices, goal_copies
from postbacks.hub.goals.forms import GameGoalForm, ready_initial, stored_initial
from postbacks.models import GameGoal

METHODS = ("GET", "HEAD", "POST")


@game_view()
def goals(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    users = game_goals.postbacks_by_goal(game)
    rows = [(goal, goal_copies.copy_of(goal), users.get(str(goal.pk), [])) for goal in game.game_goals.order_by("name")]
    return page(request, "hub/goals/page.html", membership, rows=rows)


@game_view(role=Role.MARKETER, methods=METHODS)
def goal_add(request: HubRequest, membership: Membership) -> HttpResponse:
    """`?ready=<choice>` fills the form from a ready-made goal."""
    choice = request.GET.get("ready", "")
    form = GameGoalForm(request.POST if request.method == "POST" else None, initial=ready_initial(choice))
    if form.is_valid() and form.goal:
        name = form.cleaned_data["name"]
        try:
            game_goals.add(game=membership.game, name=name, definition=form.goal, added_by=request.user)
        except game_goals.GameGoalRefused as refused:
            form.add_error(refused.field or None, str(refused))
        else:
            messages.success(request, f"{name} was saved. Select it in the form of each postback that should send it.")
            return _back(membership)
    ready = [(value, goal.label, event) for value, goal, event in goal_choices.offered()]
    return page(request, "hub/goals/form.html", membership, form=form, ready=ready, choice=choice)


@game_view(role=Role.MARKETER, methods=METHODS)
def goal_edit(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    goal = _goal(membership, pk)
    form = GameGoalForm(request.POST if request.method == "POST" else None, initial=stored_initial(goal))
    if form.is_valid() and form.goal:
        name, version = form.cleaned_data["name"], form.cleaned_data["version"] or 0
        try:
            changed = game_goals.change(
                goal=goal, name=name, definition=form.goal, version=version, changed_by=request.user
            )
        except game_goals.GameGoalRefused as refused:
            form.add_error(refused.field or None, str(refused))
        else:
            messages.success(request, f"{name} was saved. {_following(len(changed))}".rstrip())
            return _back(membership)
    users = game_goals.postbacks_by_goal(membership.game).get(str(pk), [])
    return page(request, "hub/goals/form.html", membership, form=form, goal=goal, users=users)


@game_view(role=Role.MARKETER, methods=METHODS)
def goal_delete(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    goal, refusal = _goal(membership, pk), ""
    if request.method == "POST":
        try:
            game_goals.delete(goal=goal)
            messages.success(request, f"The goal {goal.name} was deleted.")
            return _back(membership)
        except game_goals.GameGoalRefused as refused:
            refusal = str(refused)
    users = game_goals.postbacks_by_goal(membership.game).get(str(pk), [])
    return page(request, "hub/goals/delete.html", membership, goal=goal, users=users, refusal=refusal)


def _following(changed: int) -> str:
    return f"{changed} postback{'' if changed == 1 else 's'} changed with it." if changed else ""


def _goal(membership: Membership, pk: UUID) -> GameGoal:
    return get_object_or_404(GameGoal, game=membership.game, pk=pk)


def _back(membership: Membership) -> HttpResponse:
    return redirect("goals", slug=membership.game.slug)
